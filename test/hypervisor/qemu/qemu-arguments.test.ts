import { test } from 'tap';
import {
  addedArguments,
  childArguments,
  type QemuEndpoints,
  unitArguments,
} from '../../../src/hypervisor/qemu/qemu-arguments.js';
import { readQemuCommand } from '../../../src/hypervisor/qemu/qemu-command.js';

const ENDPOINTS = {
  fifoPaths: ['/run/vm/oem-string-0', '/run/v,m/oem-string-1'],
  oemStrings: ['io.systemd.credential:LIST=a,b'],
  qmpSocketPath: '/run/vm/qmp.sock',
  consoleSocketPath: '/run/vm/console.sock',
  consoleLogPath: '/run/vm/console.log',
};
const NO_STRINGS = { ...ENDPOINTS, fifoPaths: [], oemStrings: [] };

function qemuArguments(argv: readonly string[], endpoints: QemuEndpoints): string[] {
  const addsOemStrings = endpoints.oemStrings.length + endpoints.fifoPaths.length > 0;
  return childArguments(readQemuCommand(argv, addsOemStrings), endpoints);
}

/** The values given to one option, in order. */
function valuesOf(name: string, argv: readonly string[]): string[] {
  return argv.flatMap((word, at) => (argv[at - 1] === name ? [word] : []));
}

test('adds machine, console, QMP and OEM strings to a command line, static strings first', async t => {
  t.strictSame(
    qemuArguments(['/nix/store/x/bin/qemu-system-x86_64', '-m', '64', '-kernel', 'k'], ENDPOINTS),
    [
      ...['-machine', 'q35,smbios-entry-point-type=64', '-m', '64', '-kernel', 'k'],
      ...['-display', 'none', '-chardev'],
      'socket,id=vmsecretd-console,path=/run/vm/console.sock,server=on,wait=off,logfile=/run/vm/console.log',
      ...['-serial', 'chardev:vmsecretd-console', '-qmp', 'unix:/run/vm/qmp.sock,server=on,wait=off'],
      ...['-no-user-config', '-S', '-smbios', 'type=11,value=io.systemd.credential:LIST=a,,b'],
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

test('allows a machine without SMBIOS when there is no OEM string', async t => {
  t.doesNotThrow(() => qemuArguments(['-M', 'type=microvm,smbios-entry-point-type=64'], NO_STRINGS));
});

test('in a unit the console is the journal, unless the command line says something of it', async t => {
  const unit = (...argv: string[]) => unitArguments(readQemuCommand(argv, true));
  const machine = ['-machine', 'q35,smbios-entry-point-type=64'];
  t.strictSame(unit('qemu-system-x86_64', '-m', '64'), [
    ...machine,
    ...['-m', '64', '-display', 'none', '-serial', 'stdio'],
  ]);
  t.strictSame(unit('-nographic'), [...machine, '-nographic']);
  t.strictSame(unit('-serial', 'file:/x', '-display', 'none'), [
    ...machine,
    ...['-serial', 'file:/x', '-display', 'none'],
  ]);
});

test('adds to every command line a guest that waits, and its strings', async t => {
  t.strictSame(addedArguments({ oemStrings: ['a,b'], fifoPaths: ['/f'] }), [
    ...['-no-user-config', '-S', '-smbios', 'type=11,value=a,,b', '-smbios', 'type=11,path=/f'],
  ]);
});

test('leaves a machine without SMBIOS as it is', async t => {
  t.strictSame(unitArguments(readQemuCommand(['-M', 'microvm'], false)).slice(0, 2), ['-M', 'microvm']);
});
