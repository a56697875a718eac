// The parts of this folder together, on the real QEMU with the PVH guest: what goes into the FIFOs comes out of the guest.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { parseDefinition } from '../../../src/definition/parse-definition.js';
import { makeFifos } from '../../../src/hypervisor/fifos.js';
import { createQemu } from '../../../src/hypervisor/qemu/qemu.js';
import { childArguments } from '../../../src/hypervisor/qemu/qemu-arguments.js';
import { readQemuCommand } from '../../../src/hypervisor/qemu/qemu-command.js';
import { connectQmp } from '../../../src/hypervisor/qemu/qmp-client.js';
import { writeFifo } from '../../../src/hypervisor/write-fifo.js';
import { vmPaths } from '../../../src/vm/vm-paths.js';
import { decodeOemStrings, oemStringsOf } from '../../guests/pvh/decode-oem-strings.js';
import { type AfterPrinting, buildPvhGuest, END_OF_OEM_STRINGS } from '../../guests/pvh/pvh-guest.js';
import { whyNotOnPath } from '../../setup/programs.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { untilFileHas } from '../../setup/until-file-has.js';

const PROGRAM = 'qemu-system-x86_64';
const skip = whyNotOnPath(PROGRAM);
const TIMEOUT_MS = 20_000;
const PRINTED = `a\n${END_OF_OEM_STRINGS}\n`;

/** Starts QEMU with the guest; `secrets` go through FIFOs. Gives its exit status to come, and its folder. */
async function startQemu(
  t: Test,
  vm: { secrets: readonly (string | Buffer)[]; static?: string[]; after?: AfterPrinting; isLetGo?: boolean },
) {
  const folder = socketFolder(t);
  writeFileSync(join(folder, 'kernel'), buildPvhGuest({ after: vm.after ?? 'power-off' }));
  const fifoPaths = await makeFifos(folder, vm.secrets.length);
  const command = ['-accel', 'tcg', '-m', '64', '-nodefaults', '-kernel', join(folder, 'kernel')];
  const argv = childArguments(readQemuCommand(command, true), {
    fifoPaths,
    oemStrings: vm.static ?? [],
    qmpSocketPath: join(folder, 'qmp.sock'),
    consoleSocketPath: join(folder, 'console.sock'),
    consoleLogPath: join(folder, 'console.log'),
  });
  const child = spawn(PROGRAM, argv, { stdio: ['ignore', 'ignore', 'inherit'], timeout: TIMEOUT_MS });
  t.teardown(() => child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  const writes = fifoPaths.map((path, at) =>
    writeFifo(path, Buffer.from(vm.secrets[at] ?? ''), { timeoutMs: TIMEOUT_MS }),
  );
  await Promise.all(writes);
  // As the daemon does once every string is written; a QEMU that refused them is gone.
  const letGo = async () => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { resume } = await createQemu(async () => '').connect('web', join(folder, 'qmp.sock'), signal);
    await resume();
  };
  if (vm.isLetGo !== false) await Promise.race([letGo(), exit]);
  return { folder, child, exit, consoleText: () => readFileSync(join(folder, 'console.log'), 'latin1') };
}

test('brings 40 strings into the guest in their order, static ones first', { skip }, async t => {
  const secrets = Array.from(
    { length: 40 },
    (_, at) => `io.systemd.credential:S${at}=${'x'.repeat(at * 20)}`,
  );
  const qemu = await startQemu(t, { secrets, static: ['with,comma', '-dash=equals'] });
  t.strictSame(await qemu.exit, [0, null]);
  t.strictSame(oemStringsOf(qemu.consoleText()), ['with,comma', '-dash=equals', ...secrets]);
  t.strictSame(
    readdirSync(qemu.folder).filter(name => name.startsWith('oem-string')),
    [],
    'no FIFO is left',
  );
});

test('brings a value of 30,000 bytes into the guest byte for byte', { skip }, async t => {
  const values = { BIG: randomBytes(30_000), SMALL: Buffer.from([0, 0, 0]), PEM: Buffer.from('-\nb,c]"\n') };
  const secrets = Object.entries(values).map(
    ([name, bytes]) => `io.systemd.credential.binary:${name}=${bytes.toString('base64')}`,
  );
  const qemu = await startQemu(t, { secrets });
  t.strictSame(await qemu.exit, [0, null]);
  t.strictSame(decodeOemStrings(qemu.consoleText()), new Map(Object.entries(values)));
});

test('takes commands by QMP and reports events: pause, resume, power button', { skip }, async t => {
  const qemu = await startQemu(t, { secrets: ['a'], after: 'await-power-button' });
  const events: string[] = [];
  const qmp = await connectQmp(join(qemu.folder, 'qmp.sock'), {
    timeoutMs: TIMEOUT_MS,
    onEvent: ({ event }) => events.push(event),
  });
  await qmp.execute('stop');
  t.match(await qmp.execute('query-status'), { status: 'paused' });
  await qmp.execute('cont');
  await untilFileHas(join(qemu.folder, 'console.log'), END_OF_OEM_STRINGS, { timeoutMs: TIMEOUT_MS });
  await qmp.execute('system_powerdown');
  t.strictSame(await qemu.exit, [0, null]);
  await qmp.closed;
  t.strictSame(events, ['STOP', 'RESUME', 'POWERDOWN', 'SHUTDOWN']);
});

test('shows the console to who connects, and logs it with nobody there', { skip }, async t => {
  // A guest that prints again and again: a client that comes late still sees a whole print.
  const qemu = await startQemu(t, { secrets: ['a'], after: 'reboot' });
  const log = join(qemu.folder, 'console.log');
  await connectQmp(join(qemu.folder, 'qmp.sock'), { timeoutMs: TIMEOUT_MS }).then(qmp => qmp.close());
  await untilFileHas(log, PRINTED, { timeoutMs: TIMEOUT_MS });
  let text = '';
  for await (const chunk of createConnection(join(qemu.folder, 'console.sock')).setEncoding('latin1')) {
    text += chunk;
    if (text.includes(PRINTED)) break;
  }
  t.match(text, PRINTED);
});

test('quits when QMP says so, whatever the guest does', { skip }, async t => {
  const qemu = await startQemu(t, { secrets: [], after: 'stay' });
  const qmp = await connectQmp(join(qemu.folder, 'qmp.sock'), { timeoutMs: TIMEOUT_MS });
  await qmp.execute('quit');
  t.strictSame(await qemu.exit, [0, null]);
});

test('ends with an error of its own for a NUL in a string', { skip }, async t => {
  const qemu = await startQemu(t, { secrets: ['a\0b'] });
  const [status] = await qemu.exit;
  t.equal(status, 1);
});

test('a guest whose secrets are not all there does not run, and is not taken for booted', {
  skip,
}, async t => {
  const qemu = await startQemu(t, { secrets: ['a'], after: 'await-power-button', isLetGo: false });
  const socket = join(qemu.folder, 'qmp.sock');
  const { isBooted, isPaused, connect } = createQemu(async () => '');
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const control = await connect('web', socket, signal);
  t.equal(await isBooted('web', socket), false);
  t.equal(await isPaused('web', socket, signal), undefined);
  t.equal(qemu.consoleText(), '');
  await control.resume();
  await untilFileHas(join(qemu.folder, 'console.log'), PRINTED, { timeoutMs: TIMEOUT_MS });
  t.equal(await isBooted('web', socket), true);
  await control.pause();
  t.equal(await isBooted('web', socket), true);
});

/** What a start of a VM with one credential would do. */
function planWith(ready: 'boot' | 'notify' | 'receipt', supervisor: 'daemon' | 'unit' = 'daemon') {
  const definition = parseDefinition(
    { hypervisor: 'qemu', command: ['-m', '64'], credentials: { A: { text: 'a' } }, ready },
    { name: 'web', origin: 'api', path: '/web.json', directory: undefined, defaultSupervisor: 'daemon' },
  );
  const paths = vmPaths('/run', 'web', supervisor);
  const context = { paths, workingDirectory: paths.directory, ownsConsole: supervisor === 'daemon' };
  return createQemu(async () => '/qemu').plan(definition, context);
}

test('plans a port for what the guest reports, and a FIFO for the nonce of its receipt', async t => {
  const boot = await planWith('boot');
  t.strictSame([boot.fifos.length, boot.channels, boot.waitsForVm], [1, {}, false]);
  t.notMatch(boot.arguments.join(' '), /virtserialport/);

  const notify = await planWith('notify');
  t.strictSame(
    [notify.fifos.length, notify.channels],
    [1, { notify: { kind: 'port', path: '/run/vms/web/notify.sock' } }],
  );
  t.match(notify.arguments.join(' '), /virtserialport,\S*name=org\.vmsecretd\.notify/);

  const receipt = await planWith('receipt');
  t.strictSame(
    [receipt.fifos.length, receipt.channels],
    [
      2,
      {
        receipt: { kind: 'port', path: '/run/vms/web/report.sock' },
        credentials: { kind: 'port', path: '/run/vms/web/credentials.sock' },
        refresh: { kind: 'port', path: '/run/vms/web/refresh.sock' },
      },
    ],
  );
  for (const port of ['report', 'credentials', 'refresh'])
    t.match(receipt.arguments.join(' '), new RegExp(`virtserialport,\\S*name=org\\.vmsecretd\\.${port}`));
});

test('in a unit it is on sockets of systemd’s, and reads FIFOs of root’s', async t => {
  const qemu = createQemu(async program => {
    throw new Error(`there is no ${program}`);
  });
  const definition = parseDefinition(
    { hypervisor: 'qemu', supervisor: 'unit', credentials: { A: { text: 'a' } }, ready: 'receipt' },
    { name: 'web', origin: 'file', path: '/web.json', directory: '/', defaultSupervisor: 'unit' },
  );
  const paths = vmPaths('/run', 'web', 'unit');
  const launch = await qemu.unit.plan(definition, paths, undefined);
  t.match(launch, {
    program: undefined,
    arguments: [],
    fifos: ['/run/fifos/web/oem-string-0', '/run/fifos/web/oem-string-1'],
    gate: '/run/fifos/web/gate',
    channels: { receipt: { kind: 'port', path: '/run/api/web:receipt.sock' } },
  });
  t.strictSame(
    launch.added.flatMap(word => (typeof word === 'string' ? [] : [word.socket])),
    ['api', 'receipt', 'credentials', 'refresh'],
  );
  const command = ['/nix/store/x/bin/qemu-system-x86_64', '-M', 'q35', '-nographic'];
  const context = { paths, workingDirectory: '/', ownsConsole: false, command };
  const plan = await qemu.plan(definition, context);
  t.equal(plan.program, command[0], 'the program that the launcher’s command line names');
  t.strictSame(plan.arguments.slice(0, 3), command.slice(1), 'and the rest as it is');
  t.equal(plan.console, undefined);
  await t.rejects(qemu.plan({ ...definition, ready: 'notify' }, context), { code: 'definition_invalid' });
});
