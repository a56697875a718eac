// Where the host dumps core and the daemon may, nothing that has a secret leaves a core file, whatever kills it.

import { execFileSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import tap, { type Test, test } from 'tap';
import { systemErrorCode } from '../../src/errors.js';
import { runAs } from '../../src/system/run-as.js';
import { Canary } from '../canary.js';
import {
  type CoreWay,
  dumpCoresBy,
  dumpCoresInto,
  formsInFile,
  whyNoCoreDumps,
} from '../setup/core-dumps.js';
import { whyNotRoot } from '../setup/programs.js';
import { isInMemory } from '../setup/search-memory.js';
import { startSecretHolder } from '../setup/secret-holder.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN, standIn } from './vmm.js';

const SIGNALS = ['SIGSEGV', 'SIGABRT'] as const;
const PAUSE_MS = 20;
const skip = whyNoCoreDumps();
const folder = mkdtempSync(join(tmpdir(), 'vmsd-cores-'));
tap.teardown(() => rmSync(folder, { recursive: true, force: true }));
// The daemon inherits what this process may.
if (skip === false) dumpCoresInto(tap, folder);

/** @returns what a dead process left: `no core`, or which forms of the secret its core has. The core is removed. */
function takeCore(pid: number, canary: Canary): string {
  const path = join(folder, `core.${pid}`);
  try {
    return `a core with ${formsInFile(path, canary).join(', ') || 'no secret'}`;
  } catch {
    return 'no core';
  } finally {
    rmSync(path, { force: true });
  }
}

/** What has no secret in its memory would prove nothing. Resolves when it is reaped: its dump would be written then. */
async function killHolder(t: Test, { canary }: Rig, pid: number, signal: NodeJS.Signals): Promise<void> {
  t.ok(isInMemory(pid, canary.forms), `${signal}: it has the secret`);
  // The first SIGSEGV only undoes the handler that Rust's library has for it: whoever faults does so again.
  while (kill(pid, signal)) await delay(PAUSE_MS);
}

/** @returns whether it was still there */
function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** A program that takes a core has it some time after the process is gone. */
const PIPE_MS = 500;
const WAYS = ['file', 'pipe'] as const;

async function takePipedCore(pid: number, canary: Canary, way: CoreWay): Promise<string> {
  if (way === 'pipe') await delay(PIPE_MS);
  return takeCore(pid, canary);
}

test('a limit of 0 keeps no program from a core that is piped to it, and runAs does', { skip }, async t => {
  const canary = new Canary();
  const [program, ...args] = runAs(undefined, ['true']);
  t.equal(program, 'prlimit');
  t.ok(args.includes('--core=1:1'));
  for (const [way, limit, left] of [
    ['file', '0:0', 'no core'],
    ['pipe', '0:0', 'a core with plain'],
    ['file', '1:1', 'no core'],
    ['pipe', '1:1', 'no core'],
  ] as const) {
    dumpCoresBy(way, folder);
    const holder = await startSecretHolder(canary);
    execFileSync('prlimit', ['--pid', `${holder.pid}`, `--core=${limit}`]);
    const gone = once(holder, 'exit');
    holder.kill('SIGABRT');
    await gone;
    t.equal(await takePipedCore(holder.pid, canary, way), left, `${way}, ${limit}`);
  }
  dumpCoresBy('file', folder);
});

test('a process that may dumps its core, in which the search finds the secret', { skip }, async t => {
  const canary = new Canary();
  for (const signal of SIGNALS) {
    const holder = await startSecretHolder(canary);
    const gone = once(holder, 'exit');
    holder.kill(signal);
    await gone;
    t.equal(takeCore(holder.pid, canary), 'a core with plain', signal);
  }
});

for (const vmm of [STAND_IN, CLOUD_HYPERVISOR, QEMU]) {
  daemonTest(
    `a VMM that is killed leaves no core: ${vmm.name}`,
    { skip: skip || vmm.skip, config: { hypervisors: vmm.hypervisors } },
    async (t, rig) => {
      await defineVm(vmm, rig, 'web');
      for (const way of WAYS) {
        dumpCoresBy(way, folder);
        for (const signal of SIGNALS) {
          const { pid } = await rig.daemon.act('web', 'start');
          await killHolder(t, rig, pid ?? 0, signal);
          await rig.daemon.untilVm('web', 'has failed', vm => vm.state === 'failed');
          t.equal(await takePipedCore(pid ?? 0, rig.canary, way), 'no core', `${signal}, ${way}`);
        }
      }
      dumpCoresBy('file', folder);
    },
  );
}

daemonTest(
  'a deliverer that is killed leaves no core',
  { skip, config: { hypervisors: { 'cloud-hypervisor': { path: standIn('never-listens') } } } },
  async (t, rig) => {
    const { daemon, canary } = rig;
    // It keeps what it has opened for a VMM that never takes it.
    await defineVm(STAND_IN, rig, 'web');
    for (const [way, signal] of WAYS.flatMap(way => SIGNALS.map(signal => [way, signal] as const))) {
      dumpCoresBy(way, folder);
      const start = daemon.call('POST', '/v1/vms/web/start');
      const pid = await untilDelivererHas(rig);
      await killHolder(t, rig, pid, signal);
      await daemon.call('POST', '/v1/vms/web/kill');
      t.match(await start, { status: /^[45]/ });
      t.equal(await takePipedCore(pid, canary, way), 'no core', `${signal}, ${way}`);
    }
    dumpCoresBy('file', folder);
  },
);

/** Nothing tells when it has opened them. */
async function untilDelivererHas({ daemon, canary }: Rig): Promise<number> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (Date.now() < deadline) {
    const holder = deliverersOf(daemon.pid).find(pid => isInMemory(pid, canary.forms));
    if (holder !== undefined) return holder;
    await delay(PAUSE_MS);
  }
  throw new Error('no deliverer has the secret');
}

function deliverersOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(child => child !== '' && commandLine(child).includes('deliverer.js'))
    .map(Number);
}

function commandLine(pid: string): string {
  return existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
}

daemonTest(
  'a core of the daemon itself has no secret',
  { skip, config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon, canary } = rig;
    // The test guest prints what it gets, and the daemon keeps what guests print: this one prints nowhere.
    const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
    await daemon.define('web', { ...rest, command: command.map(word => (word === 'tty' ? 'null' : word)) });
    await daemon.act('web', 'start');
    const { pid } = daemon;
    daemon.signal('SIGABRT');
    await daemon.until('the daemon is gone', () => !daemon.isRunning);
    t.equal(takeCore(pid, canary), 'a core with no secret');
  },
);

daemonTest(
  'the memory of the daemon has no digest of what an age file holds, and no key of digests',
  { skip: whyNotRoot(), config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon, canary } = rig;
    mkdirSync(daemon.secrets, { recursive: true });
    const pin = join(daemon.secrets, 'pin');
    writeFileSync(pin, '123456');
    await defineVm(STAND_IN, rig, 'web', {
      more: { onChange: 'report', credentials: { PIN: { file: pin } } },
    });
    await daemon.act('web', 'start');
    writeFileSync(pin, '123457');
    await daemon.untilVm('web', 'is outdated', vm => vm.outdated.includes('credential PIN'));
    const key = readFileSync(join(daemon.runtime, 'digest-key'), 'utf8');
    const digestsOf = (value: string | Buffer) => [
      createHmac('sha256', Buffer.from(key, 'hex')).update(value).digest('hex'),
      createHmac('sha256', key).update(value).digest('hex'),
      createHash('sha256').update(value).digest('hex'),
    ];
    const needles = [key, ...digestsOf(canary.text)].flatMap(hex => [
      Buffer.from(hex),
      Buffer.from(hex, 'hex'),
    ]);
    t.notOk(isInMemory(daemon.pid, needles));
    const records = readFileSync(join(daemon.runtime, 'records', 'web.json'), 'utf8');
    for (const digest of digestsOf(canary.text)) t.notMatch(records, digest);
    const [ofPin = ''] = digestsOf('123456');
    t.match(records, ofPin, 'of a plain file it has one, which without the key tells nothing');
    t.ok(isInMemory(daemon.pid, [Buffer.from(ofPin)]), 'and the search finds it');
  },
);
