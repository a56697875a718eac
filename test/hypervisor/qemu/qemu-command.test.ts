import { test } from 'tap';
import { checkFwCfgCredentials, readQemuCommand } from '../../../src/hypervisor/qemu/qemu-command.js';

test('refuses what it cannot work with, naming it and saying what to do', async t => {
  const REFUSALS: [string[], RegExp][] = [
    [['-daemonize'], /-daemonize cannot be used: .*leave it out/],
    [['--daemonize'], /-daemonize/],
    [['-S'], /-S cannot be used: .*pause/],
    [['-preconfig'], /-preconfig/],
    [['-incoming', 'defer'], /-incoming .*start the VM afresh/],
    [['-loadvm', 'x'], /-loadvm/],
    [['-readconfig', 'x'], /-readconfig .*on the command line/],
    [['-monitor', 'stdio'], /-monitor stdio .*socket/],
    [['-smbios', 'type=11,path=/x'], /-smbios type=11,path=\/x .*"file"/],
    [['-smbios', 'file=/x'], /-smbios file=\/x/],
    [['-M', 'microvm,accel=kvm'], /microvm .*no SMBIOS table/],
    [['-machine', 'type=isapc'], /isapc .*no SMBIOS table/],
    [['-machine', 'q35', '-machine', 'none'], /-machine none .*no SMBIOS table/],
    [['-M', 'q35,confidential-guest-support=sev0'], /confidential-guest-support .*ignores the credentials/],
    [['-object', 'sev-snp-guest,id=sev0,cbitpos=51'], /-object sev-snp-guest.* ignores the credentials/],
    [['-object', 'qom-type=tdx-guest,id=t'], /tdx-guest/],
    [['-object', '{"qom-type": "sev-guest", "id": "sev0"}'], /sev-guest/],
    [['-qmp', 'unix:/run/vmsecretd/api/web.sock,server=on,wait=off'], /-qmp unix.*vmsecretd’s own/],
    [['-chardev', 'socket,id=m,path=/run/vmsecretd/api/web.sock,server=on'], /-chardev .*another path/],
    [['-chardev', 'socket,id=m,fd=3,server=on'], /-chardev .*vmsecretd’s own/],
    [['-m'], /-m is the last word .* lacks its value/],
  ];
  for (const [argv, message] of REFUSALS) {
    t.throws(() => readQemuCommand(argv, true), { code: 'command_invalid', message }, argv.join(' '));
  }
});

test('allows what hides no secret where there is none', async t => {
  for (const argv of [
    ['-M', 'type=microvm,smbios-entry-point-type=64'],
    ['-object', 'sev-guest,id=sev0'],
    ['-M', 'isapc'],
  ])
    t.doesNotThrow(() => readQemuCommand(argv, false), argv.join(' '));
  // Its own OEM string would be lost, too.
  t.throws(() => readQemuCommand(['-M', 'microvm', '-smbios', 'type=11,value=a'], false));
});

test('knows i440fx and q35 under all of their names', async t => {
  for (const type of ['pc', 'q35', 'pc-q35-9.2', 'pc-i440fx-jammy', 'pc-q35-rhel9.4.0', 'ubuntu-q35'])
    t.doesNotThrow(() => readQemuCommand(['-M', `${type},accel=kvm`], true), type);
  t.doesNotThrow(() => readQemuCommand(['-machine', 'accel=kvm'], true));
});

test('finds the OEM strings of the command line, in order and with single commas', async t => {
  const argv = [
    ...['qemu-system-x86_64', '-smbios', 'type=1,serial=no', '-smbios', 'type=11,value=a,,b,value=c=d'],
    ...['--smbios', 'value=e,,,type=0xb', '-append', '-smbios', '-smbios', 'type=013,value=f'],
  ];
  t.strictSame(readQemuCommand(argv, false).oemStrings, ['a,b', 'c=d', 'e,', 'f']);
  t.strictSame(readQemuCommand([], false).oemStrings, []);
  t.throws(() => readQemuCommand(['-smbios', 'type=11,path=x'], false), { code: 'command_invalid' });
});

test('knows the credentials of fw_cfg, and refuses a second one of the same name', async t => {
  const argv = [
    ...[
      '-fw_cfg',
      'name=opt/io.systemd.credentials/A,file=/a',
      '-fw_cfg',
      'opt/io.systemd.credentials/B,string=b',
    ],
    ...['-fw_cfg', 'name=opt/other,string=x'],
  ];
  const command = readQemuCommand(argv, true);
  t.strictSame(command.fwCfgCredentials, ['A', 'B']);
  t.doesNotThrow(() => checkFwCfgCredentials('web', command, ['C']));
  for (const other of ['B', 'io.systemd.credential.binary:A=eA=='])
    t.throws(() => checkFwCfgCredentials('web', command, [other]), { code: 'credential_duplicate' });
});
