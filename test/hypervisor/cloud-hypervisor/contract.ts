// What vmsecretd relies on of cloud-hypervisor, as requests to its API socket and as its end. The same tests run on the
// stand-in and on the real program, so that the stand-in cannot drift.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Test, test } from 'tap';
import {
  MAIN_AFTER_53,
  REFERENCE_RELEASE,
  type Release,
} from '../../../src/hypervisor/cloud-hypervisor/release.js';
import { decodeOemStrings } from '../../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../../guests/pvh/pvh-guest.js';
import { type Answer, call, connectConsole, startVmm } from './vmm-under-test.js';

export interface ContractSubject {
  readonly name: string;
  readonly program: string;
  /** Undefined where there is no program. */
  readonly release: Release | undefined;
  readonly skip: string | false;
}

const DONE: Answer = { status: 204, body: null };
const PRINTED = `a\n${END_OF_OEM_STRINGS}\n`;
/** Up to 52 what a guest prints before the VMM has taken the waiting client's connection is gone: this lasts longer. */
const LONG = ['x'.repeat(4_000), 'a'];

export function testContract(subject: ContractSubject): void {
  const start = (t: Test, options: Parameters<typeof startVmm>[2] = {}) =>
    startVmm(t, subject.program, options);
  const rule = (title: string, run: (t: Test) => Promise<void>) =>
    test(`${subject.name} ${title}`, { skip: subject.skip }, run);
  const release = subject.release ?? REFERENCE_RELEASE;
  testProgram(subject, rule);
  testCreate(rule, start, release);
  testLifecycle(rule, start, release);
  if (release < 53_00) testBlockingConsole(rule, start);
  else testKeepingConsole(rule, start);
  testEnds(rule, start, { ...subject, release });
}

type Rule = (title: string, run: (t: Test) => Promise<void>) => void;
type Start = (t: Test, options?: Parameters<typeof startVmm>[2]) => ReturnType<typeof startVmm>;

function testProgram({ program }: ContractSubject, rule: Rule): void {
  rule('tells its version on standard output', async t => {
    const { status, stdout } = spawnSync(program, ['--version'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    });
    t.match(stdout, /^cloud-hypervisor v\d+\.\d+/);
    t.equal(status, 0);
  });

  for (const [argv, status] of [
    [['--nonsense'], 2],
    [['--memory', 'size=64M'], 2],
    [['--api-socket', '/nowhere/other.sock'], 2],
  ] as const) {
    rule(`refuses ${argv.join(' ')} beside its API socket with status ${status}`, async t => {
      const result = spawnSync(program, ['--api-socket', '/nowhere/api.sock', ...argv], { timeout: 15_000 });
      t.equal(result.status, status);
      t.ok(result.stderr.length > 0, 'says why');
    });
  }

  rule('exits with status 1 where its API socket cannot be', async t => {
    const result = spawnSync(program, ['--api-socket', '/nowhere/api.sock'], { timeout: 15_000 });
    t.equal(result.status, 1);
    t.ok(result.stderr.length > 0, 'says why');
  });
}

/** What is missing has a status of its own since 53. */
const missingStatus = (release: Release) => (release < 53_00 ? 500 : 404);

function testCreate(rule: Rule, start: Start, release: Release): void {
  rule('answers vmm.ping on a socket that only its user may use', async t => {
    const vmm = await start(t, {
      argv: ['--seccomp', 'true', '--log-file', '/dev/null', '-v', '--event-monitor', 'path=/dev/null'],
    });
    const { status, body } = await vmm.get('vmm.ping');
    t.equal(status, 200);
    t.match(body, {
      build_version: /^v\d+/,
      version: /^\d+\.\d+\.\d+$/,
      pid: vmm.child.pid,
      features: Array,
    });
    t.equal(statSync(vmm.apiSocket).mode & 0o077, 0);
  });

  rule('quotes the value when the JSON is no VM config, and creates nothing', async t => {
    const vmm = await start(t);
    for (const [config, message] of [
      [{ memory: { size: 'S3CR3T' } }, /^invalid type: string "S3CR3T", expected u64/],
      [{ platform: { oem_strings: ['a', 7] } }, /^invalid type: integer `7`, expected a string/],
      [{ platform: { oem_strings: 'S3CR3T' } }, /^invalid type: string "S3CR3T", expected a sequence/],
      [{ payload: 5 }, /^invalid type: integer `5`, expected struct/],
      [{ serial: { mode: 'Nope' } }, /^unknown variant `Nope`, expected one of `Off`/],
      ['no JSON', /./],
    ] as const) {
      const { status, body } = await vmm.put('vm.create', config);
      t.equal(status, 400);
      t.match(body, ['Failed to deserialize JSON', message], JSON.stringify(config));
    }
    t.strictSame(await vmm.put('vm.create'), { status: 400, body: null }, 'nothing at all');
    t.match(await vmm.get('vm.info'), { status: missingStatus(release), body: ['Error from API'] });
  });

  rule('takes a config that cannot boot, and refuses at vm.boot', async t => {
    const vmm = await start(t);
    t.strictSame(await vmm.put('vm.create', { unknown: 1, payload: { kernel: '/nowhere' } }), DONE);
    t.match(await vmm.put('vm.boot'), {
      status: 500,
      body: ['Error from API', 'The VM could not boot', 'Cannot open kernel file'],
    });
    t.equal((await vmm.get('vmm.ping')).status, 200, 'the program stays up');
    // Before, a second vm.boot ends it.
    if (release >= 53_00) t.equal((await vmm.put('vm.boot')).status, 500, 'boots no second time');
    t.strictSame(await vmm.put('vm.delete'), DONE);
    writeFileSync(join(vmm.folder, 'text'), 'no kernel');
    t.strictSame(await vmm.put('vm.create', { payload: { kernel: join(vmm.folder, 'text') } }), DONE);
    t.match(await vmm.put('vm.boot'), {
      status: 500,
      body: [/./, /./, 'Cannot load the kernel into memory'],
    });
  });

  rule('refuses a second vm.create', async t => {
    const vmm = await start(t);
    t.strictSame(await vmm.put('vm.create', {}), DONE);
    t.match(await vmm.put('vm.create', {}), { status: 500, body: [/./, /./, 'VM is already created'] });
  });

  const limit = release < MAIN_AFTER_53 ? 51_200 : 4 * 1024 * 1024;
  // Main's own seccomp filter ends it somewhere below its limit; no VM config of ours is as long as this.
  const taken = Math.min(limit, 200_000);
  rule(`refuses a body over ${limit} bytes and takes one of ${taken}`, async t => {
    const vmm = await start(t);
    const config = (sizeBytes: number) => {
      const empty = JSON.stringify({ platform: { oem_strings: [''] } }).length;
      return { platform: { oem_strings: ['x'.repeat(sizeBytes - empty)] } };
    };
    // A body that long is not read to its end: who still writes may never see the answer.
    const answer = await vmm.put('vm.create', config(limit + 1)).catch(({ code }) => code);
    if (answer !== 'ECONNRESET' && answer !== 'EPIPE') {
      t.equal(answer.status, 400);
      const why = `payload with size ${limit + 1} is larger than the limit of ${limit}`;
      t.match(JSON.stringify(answer.body), why);
    }
    t.strictSame(await vmm.put('vm.create', config(taken)), DONE);
  });

  rule('answers an eleventh connection with 503 and closes it', async t => {
    const vmm = await start(t);
    const open: Socket[] = [];
    t.teardown(() => {
      for (const socket of open) socket.destroy();
    });
    for (let count = 0; count < 10; count++) {
      const socket = createConnection(vmm.apiSocket).setEncoding('utf8');
      open.push(socket);
      socket.write('GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n');
      const [text] = await once(socket, 'data');
      t.match(text, /^HTTP\/1\.1 200/);
    }
    const eleventh = createConnection(vmm.apiSocket).setEncoding('utf8');
    const closed = once(eleventh, 'close');
    t.match((await once(eleventh, 'data'))[0], /^HTTP\/1\.1 503/);
    await closed;
  });

  rule('knows no other path and no other method', async t => {
    const vmm = await start(t);
    t.equal((await vmm.put('vm.nonsense')).status, 404);
    t.equal((await vmm.get('vm.boot')).status, 400);
    t.equal((await call(vmm.apiSocket, 'POST', 'vm.boot')).status, 400);
  });
}

function testLifecycle(rule: Rule, start: Start, release: Release): void {
  rule('gives the guest its OEM strings, binary values of any bytes included', async t => {
    const vmm = await start(t);
    const values = { BIG: randomBytes(30_000), NUL: Buffer.alloc(3), PEM: Buffer.from('-\nb,c]"\n') };
    const strings = Object.entries(values).map(
      ([name, bytes]) => `io.systemd.credential.binary:${name}=${bytes.toString('base64')}`,
    );
    t.strictSame(await vmm.put('vm.create', vmm.configOf('power-off', strings)), DONE);
    t.equal(statSync(vmm.consoleSocket).mode & 0o077, 0, 'only its user may use the console');
    const console = await connectConsole(t, vmm.consoleSocket);
    t.strictSame(await vmm.put('vm.boot'), DONE);
    t.strictSame(decodeOemStrings(await console.ended), new Map(Object.entries(values)));
    t.strictSame(await vmm.exit, [0, null], 'exits when the guest has powered off');
    t.notOk(existsSync(vmm.apiSocket));
    t.notOk(existsSync(vmm.consoleSocket));
  });

  rule('shows config, OEM strings included, and state in vm.info', async t => {
    const vmm = await start(t);
    const config = vmm.configOf('stay', ['a']);
    await vmm.put('vm.create', config);
    t.match(await vmm.get('vm.info'), { status: 200, body: { config, state: 'Created' } });
    await vmm.put('vm.boot');
    t.match(await vmm.get('vm.info'), { body: { state: 'Running', memory_actual_size: 67_108_864 } });
  });

  rule('refuses to pause, resume, reboot, stop or boot what does not run', async t => {
    const vmm = await start(t);
    const status = missingStatus(release);
    t.match(await vmm.put('vm.boot'), { status, body: [/./, /./, 'VM config is missing'] });
    await vmm.put('vm.create', vmm.configOf('stay'));
    for (const verb of ['vm.pause', 'vm.resume', 'vm.power-button', 'vm.shutdown']) {
      t.match(await vmm.put(verb), { status: 500, body: ['Error from API', /./, 'VM is not running'] }, verb);
    }
    t.match(await vmm.put('vm.reboot'), { status, body: [/./, /./, 'VM is not created'] });
    t.strictSame(await vmm.put('vm.delete'), DONE);
    t.strictSame(await vmm.put('vm.delete'), DONE, 'and once more');
  });

  rule('pauses once and resumes once', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay'));
    await vmm.put('vm.boot');
    t.strictSame(await vmm.put('vm.pause'), DONE);
    t.match(await vmm.get('vm.info'), { body: { state: 'Paused' } });
    t.match(await vmm.put('vm.pause'), { status: 500, body: [/./, 'The VM could not be paused'] });
    t.strictSame(await vmm.put('vm.resume'), DONE);
    t.match(await vmm.put('vm.resume'), { status: 500, body: [/./, 'The VM could not resume'] });
  });

  rule('boots again after vm.shutdown, and takes another VM after vm.delete', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay'));
    await vmm.put('vm.boot');
    t.strictSame(await vmm.put('vm.shutdown'), DONE);
    t.match(await vmm.get('vm.info'), { body: { state: 'Created' } });
    t.strictSame(await vmm.put('vm.boot'), DONE);
    t.strictSame(await vmm.put('vm.delete'), DONE, 'of a running VM too');
    t.strictSame(await vmm.put('vm.create', vmm.configOf('power-off')), DONE);
    t.strictSame(await vmm.put('vm.boot'), DONE);
    t.strictSame(await vmm.exit, [0, null]);
  });
}

function testKeepingConsole(rule: Rule, start: Start): void {
  rule('lets the console client go at a reboot, and prints the same strings to the next', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay'));
    const console = await connectConsole(t, vmm.consoleSocket);
    await vmm.put('vm.boot');
    await console.until(PRINTED);
    t.strictSame(await vmm.put('vm.reboot'), DONE);
    t.equal(await console.ended, PRINTED);
    await (await connectConsole(t, vmm.consoleSocket)).until(PRINTED);
    t.match(await vmm.get('vm.info'), { body: { state: 'Running' } });
  });

  rule('keeps what the guest prints until somebody connects, and serves the latest client', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay'));
    await vmm.put('vm.boot');
    const first = await connectConsole(t, vmm.consoleSocket);
    await first.until(PRINTED);
    await connectConsole(t, vmm.consoleSocket);
    t.equal(await first.ended, PRINTED, 'the earlier client is let go');
  });

  rule('keeps what a console client has no room for until that ends, and gives it to the next', async t => {
    const vmm = await start(t);
    const text = randomBytes(2_000).toString('hex');
    await vmm.put('vm.create', vmm.configOf('stay', [text]));
    await vmm.put('vm.boot');
    // What is printed just as a client is let go is lost, and no event tells that a guest has printed all.
    await delay(2_000);
    let printed = '';
    for (let clients = 0; !printed.endsWith(`${END_OF_OEM_STRINGS}\n`) && clients < 1_000; clients += 1) {
      const client = await connectConsole(t, vmm.consoleSocket);
      client.end();
      printed += await client.ended;
    }
    t.equal(printed, `${text}\n${END_OF_OEM_STRINGS}\n`);
  });
}

/** Up to 52 the VMM, and its guest with it, waits for its client's room, and what is printed without a client is gone. */
function testBlockingConsole(rule: Rule, start: Start): void {
  rule('loses nothing for a console client that is there and reads late', async t => {
    const vmm = await start(t);
    const text = randomBytes(2_000).toString('hex');
    await vmm.put('vm.create', vmm.configOf('power-off', [text]));
    const console = await connectConsole(t, vmm.consoleSocket, { readsAfterMs: 1_000 });
    await vmm.put('vm.boot');
    const printed = await console.ended;
    t.ok(`${text}\n${END_OF_OEM_STRINGS}\n`.endsWith(printed));
    t.ok(printed.length > text.length / 2, 'all but what it printed before the VMM took the connection');
  });

  rule('lets the console client go at a reboot, and has a socket for the next', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay', LONG));
    const console = await connectConsole(t, vmm.consoleSocket);
    await vmm.put('vm.boot');
    await console.until(PRINTED);
    t.strictSame(await vmm.put('vm.reboot'), DONE);
    t.ok((await console.ended).endsWith(PRINTED));
    await connectConsole(t, vmm.consoleSocket);
    t.match(await vmm.get('vm.info'), { body: { state: 'Running' } });
  });

  rule('keeps nothing that the guest prints while nobody is connected', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('stay'));
    await vmm.put('vm.boot');
    // The guest has printed long before, and no event tells it.
    await delay(1_000);
    const late = await connectConsole(t, vmm.consoleSocket);
    await vmm.put('vm.delete');
    t.equal(await late.ended, '');
  });
}

function testEnds(
  rule: Rule,
  start: Start,
  { program, release }: Pick<ContractSubject, 'program'> & { release: Release },
): void {
  // From 53 on a long text waits in the VMM for room in its client's socket.
  const strings = release < 53_00 ? LONG : ['a'];
  rule('exits when the guest obeys the power button', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('await-power-button', strings));
    const console = await connectConsole(t, vmm.consoleSocket);
    await vmm.put('vm.boot');
    await console.until(PRINTED);
    t.strictSame(await vmm.put('vm.power-button'), DONE);
    t.strictSame(await vmm.exit, [0, null]);
  });

  rule('takes the power button while paused, and the guest obeys when it runs again', async t => {
    const vmm = await start(t);
    await vmm.put('vm.create', vmm.configOf('await-power-button', strings));
    const console = await connectConsole(t, vmm.consoleSocket);
    await vmm.put('vm.boot');
    await console.until(PRINTED);
    await vmm.put('vm.pause');
    t.strictSame(await vmm.put('vm.power-button'), DONE);
    t.match(await vmm.get('vm.info'), { body: { state: 'Paused' } });
    await vmm.put('vm.resume');
    t.strictSame(await vmm.exit, [0, null]);
  });

  if (release >= 52_00)
    rule('stays with --no-shutdown when the guest has powered off', async t => {
      const vmm = await start(t, { argv: ['--no-shutdown'] });
      await vmm.put('vm.create', vmm.configOf('power-off'));
      const console = await connectConsole(t, vmm.consoleSocket);
      await vmm.put('vm.boot');
      t.equal(await console.ended, PRINTED);
      t.match(await vmm.get('vm.info'), { status: 200, body: { state: 'Created' } });
    });

  for (const [how, stop] of [
    ['SIGTERM', async vmm => void vmm.child.kill('SIGTERM')],
    ['vmm.shutdown', async vmm => void (await vmm.put('vmm.shutdown'))],
  ] as [string, (vmm: Awaited<ReturnType<Start>>) => Promise<void>][]) {
    rule(`ends by ${how} with status 0 and removes its sockets, with a guest and without`, async t => {
      const idle = await start(t);
      await stop(idle);
      t.strictSame(await idle.exit, [0, null]);
      t.notOk(existsSync(idle.apiSocket));
      const busy = await start(t);
      await busy.put('vm.create', busy.configOf('stay', ['x'.repeat(30_000)]));
      await busy.put('vm.boot');
      await stop(busy);
      t.strictSame(await busy.exit, [0, null]);
      t.notOk(existsSync(busy.apiSocket));
      t.notOk(existsSync(busy.consoleSocket));
    });
  }

  const again = release < 53_00 ? 'once that is gone' : 'in its place';
  rule(`leaves its socket file after SIGKILL, and starts again ${again}`, async t => {
    const first = await start(t);
    first.child.kill('SIGKILL');
    t.strictSame(await first.exit, [null, 'SIGKILL']);
    t.ok(existsSync(first.apiSocket));
    if (release < 53_00) {
      const taken = spawnSync(program, ['--api-socket', `path=${first.apiSocket}`], { timeout: 15_000 });
      t.equal(taken.status, 1, 'not where the file is');
      rmSync(first.apiSocket, { force: true });
    }
    const second = await start(t, { folder: first.folder });
    t.match(await second.get('vmm.ping'), { status: 200, body: { pid: second.child.pid } });
  });

  rule('closes an idle connection to its API when it dies', async t => {
    const vmm = await start(t);
    const idle = createConnection(vmm.apiSocket);
    await once(idle, 'connect');
    const closed = new Promise(resolve =>
      idle
        .on('error', () => {})
        .once('close', resolve)
        .resume(),
    );
    vmm.child.kill('SIGKILL');
    await closed;
    t.strictSame(await vmm.exit, [null, 'SIGKILL']);
  });
}
