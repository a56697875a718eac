import { test } from 'tap';
import { qemuArguments, staticOemStrings } from '../../../src/hypervisor/qemu/qemu-arguments.js';

const ENDPOINTS = {
  fifoPaths: ['/run/vm/oem-string-0', '/run/v,m/oem-string-1'],
  oemStrings: ['io.systemd.credential:LIST=a,b'],
  qmpSocketPath: '/run/vm/qmp.sock',
  consoleSocketPath: '/run/vm/console.sock',
  consoleLogPath: '/run/vm/console.log',
};
const NO_STRINGS = { ...ENDPOINTS, fifoPaths: [], oemStrings: [] };

/** The values given to one option, in order. */
function valuesOf(name: string, argv: readonly string[]): string[] {
  return argv.flatMap((word, at) => (argv[at - 1] === name ? [word] : []));
}

test('adds machine, console, QMP and OEM strings to a command line, static strings first', async t => {
  t.strictSame(
    qemuArguments(['/nix/store/x/bin/qemu-system-x86_64', '-m', '64', '-kernel', 'k'], ENDPOINTS),
    [
      ...['-machine', 'q35,smbios-entry-point-type=64', '-m', '64', '-kernel', 'k'],
      ...['-no-user-config', '-display', 'none', '-chardev'],
      'socket,id=vmsecretd-console,path=/run/vm/console.sock,server=on,wait=off,logfile=/run/vm/console.log',
      ...['-serial', 'chardev:vmsecretd-console', '-qmp', 'unix:/run/vm/qmp.sock,server=on,wait=off'],
      ...['-smbios', 'type=11,value=io.systemd.credential:LIST=a,,b'],
      ...['-smbios', 'type=11,path=/run/vm/oem-string-0', '-smbios', 'type=11,path=/run/v,,m/oem-string-1'],
    ],
  );
});

test('asks for the 64-bit SMBIOS entry point wherever the machine is named, unless the user chose', async t => {
  const machine = (...argv: string[]) =>
    qemuArguments(argv, ENDPOINTS).flatMap((word, at, all) =>
      /^-(M|machine)$/.test(all[at - 1] ?? '') ? [word] : [],
    );
  t.strictSame(machine('-M', 'pc,accel=tcg'), ['pc,accel=tcg,smbios-entry-point-type=64']);
  t.strictSame(machine('-machine', 'q35', '--machine', 'accel=kvm'), [
    'q35',
    'accel=kvm,smbios-entry-point-type=64',
  ]);
  t.strictSame(machine('-M', 'q35,smbios-entry-point-type=32'), ['q35,smbios-entry-point-type=32']);
});

test('takes the terminal away and leaves the rest of the line as it is', async t => {
  const argv = [
    '-nographic',
    '-chardev',
    'stdio,id=stdio,signal=off',
    '-serial',
    'chardev:stdio',
    '-append',
    '-S',
  ];
  const result = qemuArguments([...argv, '-serial', 'stdio', '-display', 'gtk', 'disk.img'], NO_STRINGS);
  t.strictSame(valuesOf('-serial', result), ['chardev:vmsecretd-console']);
  t.strictSame(valuesOf('-append', result), ['-S']);
  t.strictSame(valuesOf('-display', result), ['gtk']);
  t.notOk(result.includes('-nographic'));
  t.ok(result.includes('disk.img'));
});

test('refuses what it cannot work with, naming it and saying what to do', async t => {
  const REFUSALS: [string[], RegExp][] = [
    [['-daemonize'], /-daemonize cannot be used: .*leave it out/],
    [['--daemonize'], /-daemonize/],
    [['-S'], /-S cannot be used: .*pause/],
    [['-preconfig'], /-preconfig/],
    [['-incoming', 'defer'], /-incoming .*start the VM afresh/],
    [['-loadvm', 'x'], /-loadvm/],
    [['-readconfig', 'x'], /-readconfig .*on the command line/],
    [['-serial', 'file:/x'], /-serial file:\/x .*console/],
    [['-serial', 'none', '-serial', 'stdio'], /-serial none/],
    [['-monitor', 'stdio'], /-monitor stdio .*socket/],
    [['-smbios', 'type=11,path=/x'], /-smbios type=11,path=\/x .*"file"/],
    [['-smbios', 'file=/x'], /-smbios file=\/x/],
    [['-fw_cfg', 'name=opt/io.systemd.credentials/A,string=b'], /-fw_cfg .*"credentials"/],
    [['-M', 'microvm,accel=kvm'], /microvm .*no SMBIOS table/],
    [['-m'], /-m is the last word .* lacks its value/],
  ];
  for (const [argv, message] of REFUSALS) {
    t.throws(() => qemuArguments(argv, ENDPOINTS), { code: 'command_invalid', message }, argv.join(' '));
  }
});

test('allows a machine without SMBIOS when there is no OEM string', async t => {
  t.doesNotThrow(() => qemuArguments(['-M', 'type=microvm,smbios-entry-point-type=64'], NO_STRINGS));
});

test('finds the OEM strings of the command line, in order and with single commas', async t => {
  const argv = [
    ...['qemu-system-x86_64', '-smbios', 'type=1,serial=no', '-smbios', 'type=11,value=a,,b,value=c=d'],
    ...['--smbios', 'value=e,,,type=0xb', '-append', '-smbios', '-smbios', 'type=013,value=f'],
  ];
  t.strictSame(staticOemStrings(argv), ['a,b', 'c=d', 'e,', 'f']);
  t.strictSame(staticOemStrings([]), []);
  t.throws(() => staticOemStrings(['-smbios', 'type=11,path=x']), { code: 'command_invalid' });
});
