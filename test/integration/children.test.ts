// What the daemon's children get of it: looked up in /proc, and tried.
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { resolveUser } from '../../src/system/users.js';
import { peakBytes } from '../setup/peak-memory.js';
import { whyNotRoot } from '../setup/programs.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, QEMU, STAND_IN } from './vmm.js';

/** What must not reach a child. */
const environment = {
  NOTIFY_SOCKET: '/nowhere',
  LISTEN_PID: '1',
  NODE_OPTIONS: '--max-http-header-size=16384',
  SECRET_OF_THE_DAEMON: 'x',
};

function proc(pid: number, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8');
}

function environmentNames(pid: number): string[] {
  const variables = proc(pid, 'environ').split('\0').filter(Boolean);
  // tap adds its own to every process below a test.
  const isTap = (variable: string) => /^(_TAPJS_|NODE_OPTIONS=.*processinfo)/.test(variable);
  return variables
    .filter(variable => !isTap(variable))
    .map(variable => variable.replace(/=.*/s, ''))
    .toSorted();
}

/** Undefined for one that was closed meanwhile. */
function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

function openFiles(pid: number): string[] {
  const targets = readdirSync(`/proc/${pid}/fd`).map(fd => targetOf(`/proc/${pid}/fd/${fd}`));
  return [...new Set(targets)].filter(target => target !== undefined).toSorted();
}

/** What prlimit and setpriv have done, and what they cannot take back. */
function isConfined(t: Test, pid: number, who: string): void {
  t.match(proc(pid, 'limits'), /^Max core file size +1 +1 /m, `${who} dumps no core`);
  const status = proc(pid, 'status');
  t.match(status, /^NoNewPrivs:\t1$/m, `${who} gains no privileges`);
  t.match(status, /^CapInh:\t0+$/m, `${who} hands on no capability`);
  t.match(status, /^Umask:\t0077$/m, `${who} makes files for itself alone`);
}

function childrenOf(pid: number): number[] {
  return proc(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** It may still be reading its program, and /proc tells of no change. @returns what is left at the deadline */
async function untilNone(look: () => string[]): Promise<string[]> {
  const deadline = Date.now() + TIMEOUT_MS;
  let left = look();
  while (left.length > 0 && Date.now() < deadline) {
    await delay(10);
    left = look();
  }
  return left;
}

/** Sockets that the process listens on at a TCP port: a debugger would. */
function tcpInodes(pid: number): string[] {
  const listening = [proc(pid, 'net/tcp'), proc(pid, 'net/tcp6')]
    .flatMap(table => table.split('\n'))
    .map(line => line.trim().split(/ +/))
    .filter(fields => fields[3] === '0A')
    .map(fields => `socket:[${fields[9]}]`);
  return openFiles(pid).filter(target => listening.includes(target));
}

daemonTest(
  'the deliverer gets a way to programs and a channel, and nothing else',
  { environment },
  async (t, { daemon }) => {
    const pid = await daemon.until('there is a deliverer', () =>
      childrenOf(daemon.pid).find(child => proc(child, 'cmdline').includes('deliverer.js')),
    );
    isConfined(t, pid, 'the deliverer');
    const names = environmentNames(pid);
    t.strictSame(names, ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'PATH']);
    const isOwn = /^(\/dev\/null|socket:\[\d+\]|pipe:\[\d+\]|anon_inode:\[(eventpoll|eventfd|io_uring)\])$/;
    const others = () => openFiles(pid).filter(target => !isOwn.test(target));
    t.strictSame(await untilNone(others), []);
    const sockets = openFiles(pid).filter(target => target.startsWith('socket:'));
    t.equal(sockets.length, 1, 'its channel is its only socket');
  },
);

daemonTest('no signal opens a debugger or writes a report', {}, async (t, { daemon }) => {
  const deliverer = fork(fileURLToPath(new URL('../../src/delivery/run-deliverer.js', import.meta.url)), {
    cwd: daemon.folder,
  });
  t.teardown(() => deliverer.kill());
  await once(deliverer, 'message');
  const cases: [pid: number, answers: () => Promise<unknown>][] = [
    [daemon.pid, () => daemon.call('GET', '/v1/health')],
    [
      deliverer.pid ?? 0,
      () => {
        deliverer.send({ id: 1, verb: 'digest', sources: [] });
        return once(deliverer, 'message');
      },
    ],
  ];
  for (const [pid, answers] of cases) {
    process.kill(pid, 'SIGUSR1');
    // Twice, so that what a signal began has had its turn.
    await answers();
    t.ok(await answers());
    t.strictSame(tcpInodes(pid), []);
  }
  t.notOk(readdirSync(daemon.folder).find(name => /report|heapsnapshot|^core/.test(name)));
});

/** A VMM that never listens: what it was given can be looked at for as long as its start takes. */
const programs = mkdtempSync(join(tmpdir(), 'vmsd-vmm-'));
const program = join(programs, 'vmm');
const options = {
  skip: whyNotRoot(),
  environment,
  config: { hypervisors: { qemu: { path: program } } },
};

/** Processes whose standard output is this file, by whether they are VMMs. */
function writersOf(log: string): { vmm: number | undefined; preStart: number | undefined } {
  const writers = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => isWriter(pid, log));
  const isVmm = (pid: number) => environmentNames(pid).includes('MALLOC_ARENA_MAX');
  return { vmm: writers.find(isVmm), preStart: writers.find(pid => !isVmm(pid)) };
}

/** Only once it is the program: before, it is setpriv. */
function isWriter(pid: number, log: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`) === log && proc(pid, 'cmdline').startsWith('sleep\0');
  } catch {
    return false;
  }
}

daemonTest(
  'a VMM and its preStart get their user, a session, a log and two variables',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    const user = 'nobody';
    const owner = await resolveUser('web', user, undefined);
    chmodSync(daemon.folder, 0o755);
    chmodSync(programs, 0o755);
    t.teardown(() => rmSync(programs, { recursive: true }));
    writeFileSync(program, '#!/bin/sh\nexec sleep 1000\n');
    chmodSync(program, 0o755);
    const preStart = [['/bin/sh', '-c', 'sleep 1000 &']];
    await defineVm(QEMU, rig, 'web', { more: { user, preStart, command: ['-nodefaults'] } });
    await daemon.call('POST', '/v1/vms/web/start?wait=none');
    const log = join(daemon.runtime, 'logs', 'web.vmm.log');
    // Nothing tells that the last exec is done.
    let writers = writersOf(log);
    while (writers.vmm === undefined || writers.preStart === undefined) {
      await new Promise(resolve => setImmediate(resolve));
      writers = writersOf(log);
    }
    const { vmm, preStart: left } = writers;
    t.teardown(() => process.kill(left, 'SIGKILL'));
    const groups = execFileSync('id', ['-G', user], { encoding: 'utf8' }).trim().split(' ').toSorted();
    // Whoever runs the tests may hand something on to all of them.
    const inherited = openFiles(process.ppid).filter(target => target !== '/dev/null');
    const isOurs = (target: string) => !inherited.includes(target);
    for (const [who, pid] of [
      ['the VMM', vmm],
      ['preStart', left],
    ] as const) {
      isConfined(t, pid, who);
      const status = proc(pid, 'status');
      t.match(status, new RegExp(`^Uid:\t${owner?.uid}(\t${owner?.uid}){3}$`, 'm'), who);
      t.match(status, new RegExp(`^Gid:\t${owner?.gid}(\t${owner?.gid}){3}$`, 'm'), who);
      t.match(status, /^CapEff:\t0+$/m, who);
      t.strictSame(
        /^Groups:\t(.*)$/m.exec(status)?.[1]?.trim().split(' ').toSorted(),
        groups,
        `${who}: groups`,
      );
      t.not(sessionOf(pid), sessionOf(daemon.pid), `${who} has a session of its own`);
      t.strictSame(openFiles(pid).filter(isOurs), ['/dev/null', log], `${who}: descriptors`);
    }
    t.strictSame(environmentNames(vmm), ['MALLOC_ARENA_MAX', 'PATH', 'PWD'], 'PWD is the shell’s own');
    t.strictSame(environmentNames(left), ['PATH', 'PWD']);
  },
);

function sessionOf(pid: number): string | undefined {
  return proc(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ')[3];
}

const preStartOptions = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('a preStart holds nobody up and fills no memory', preStartOptions, async (t, rig) => {
  const { daemon } = rig;
  const define = (name: string, script: string, startTimeoutSeconds: number) =>
    defineVm(STAND_IN, rig, name, {
      more: { preStart: [['/bin/sh', '-c', script]], startTimeoutSeconds },
    });
  await define('leaves', 'sleep 20 &', 15);
  t.match(await daemon.act('leaves', 'start'), { state: 'running' }, 'what it leaves running keeps nobody');
  await define('floods', 'head -c 100000000 /dev/zero; exit 1', 30);
  const before = peakBytes(daemon.pid);
  t.match(await daemon.call('POST', '/v1/vms/floods/start'), {
    status: 502,
    json: { code: 'supervisor_failed' },
  });
  t.ok(
    peakBytes(daemon.pid) < Math.max(before, 64 * 1024 * 1024) * 2,
    'what it prints is not kept in memory',
  );
  await define('stays', "trap '' TERM; while :; do sleep 1; done", 2);
  const beganAt = performance.now();
  t.match(await daemon.call('POST', '/v1/vms/stays/start'), { status: 504, json: { code: 'vmm_timeout' } });
  t.ok(performance.now() - beganAt < 15_000, 'one that does not listen is killed');
});

/** From the moment on at which Node has a handler of its own, and before there is a line of ours. */
async function untilHearsSignal(pid: number): Promise<void> {
  const hears = () => (BigInt(`0x${/^SigCgt:\s+(\w+)$/m.exec(proc(pid, 'status'))?.[1]}`) >> 9n) & 1n;
  while (!hears()) await delay(1);
}

test('no signal leaves a debugger open, however early it comes', async t => {
  const cwd = t.testdir({});
  const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const places = ['--runtime-directory', 'run', '--state-directory', 'state', '--definitions', 'vms'];
  const { NODE_OPTIONS: _ofTap, ...env } = process.env;
  const programs = [
    [at('src/daemon.js'), ...places, '--config', 'none.json'],
    [at('src/delivery/run-deliverer.js')],
    [at('bundle/daemon.js'), ...places, '--config', 'none.json'],
    [at('bundle/run-deliverer.js')],
  ];
  for (const args of programs) {
    const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    t.teardown(() => child.kill('SIGKILL'));
    const pid = child.pid ?? 0;
    await untilHearsSignal(pid);
    for (let signal = 0; signal < 100; signal += 1) {
      child.kill('SIGUSR1');
      await delay(5);
    }
    t.match(child, { exitCode: null, signalCode: null }, `${args} runs`);
    // A busy machine comes to the program's first line later than to the last signal.
    t.strictSame(await untilNone(() => tcpInodes(pid)), [], `${args} listens to nobody`);
  }
});

daemonTest(
  'a deliverer dies with its daemon, even one that does nothing any more',
  {},
  async (t, { daemon }) => {
    const pid = await daemon.until('there is a deliverer', () =>
      childrenOf(daemon.pid).find(child => proc(child, 'cmdline').includes('deliverer.js')),
    );
    process.kill(pid, 'SIGSTOP');
    await daemon.kill9();
    await daemon.until(
      'the deliverer is gone',
      () => !existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(proc(pid, 'status')),
    );
    t.pass('it is gone');
  },
);
