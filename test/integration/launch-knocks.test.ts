// Everybody may knock at launch.sock, and nobody makes the daemon run programs by it.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { spawnImposter } from '../setup/imposter.js';
import { peakBytes } from '../setup/peak-memory.js';
import { whyNotOnPath } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';
import { spawnWithholders, whyNoWithholder } from '../setup/withholder.js';
import { daemonTest } from './daemon-test.js';
import { STAND_IN, standIn } from './vmm.js';

const KNOCKS = 1_000;
/** More of one process are cut off. */
const AT_ONCE = 25;

const folder = mkdtempSync(join(tmpdir(), 'vmsd-knocks-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const runs = join(folder, 'runs');
const countRuns = () => (existsSync(runs) ? readFileSync(runs, 'utf8').split('\n').length - 1 : 0);

// Its monitor of units makes the daemon read them, too.
writeFileSync(join(folder, 'busctl'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });

const environment = {
  PATH: `${folder}:${dirname(standIn('systemctl'))}:${process.env.PATH}`,
  SYSTEMCTL_RUNS: runs,
};

daemonTest(
  `${KNOCKS} knocks from outside the unit make the daemon run nothing`,
  { environment, config: { hypervisors: STAND_IN.hypervisors } },
  async (t, { daemon }) => {
    await daemon.define('web', { supervisor: 'unit', command: ['--kernel', '/vmlinux'], credentials: {} });
    // Its command line is the launcher's, as anybody can have it.
    const script = join(folder, 'vmsecretd-launch');
    writeFileSync(script, 'read -r line\n');
    const liar = spawn('/bin/sh', [script, 'web'], { stdio: ['pipe', 'ignore', 'ignore'] });
    t.teardown(() => liar.kill());
    const knock = () => daemon.call('POST', '/v1/vms/web/launch', { pid: liar.pid }, 'launch');
    t.match((await knock()).json, { code: 'forbidden', detail: / does not run in microvm@web\.service/ });
    // Nothing tells that a unit was looked at.
    while (countRuns() === 0) await delay(10);
    const before = countRuns();
    for (let round = 0; round < KNOCKS / AT_ONCE; round += 1)
      for (const { status } of await Promise.all(Array.from({ length: AT_ONCE }, knock)))
        if (status !== 403) t.fail(`a knock is answered with ${status}`);
    const after = countRuns();
    t.comment(`${KNOCKS} knocks: ${after - before} runs of systemctl`);
    t.equal(after, before);
    await daemon.call('DELETE', '/v1/vms/web');
  },
);

const UNIT_VM = { supervisor: 'unit', command: ['--kernel', '/vmlinux'], credentials: {} };
const imposterOptions = {
  environment,
  config: { hypervisors: STAND_IN.hypervisors },
  skip: whyNotOnPath('perl'),
};
// Not without an end: other tests read the command lines of all processes.
const HUGE = String(64 * 1024 * 1024);
/** Each knock reads 1 MiB; what was read is given back by the garbage collector's own time. */
const ROOM_BYTES = 256 * 1024 * 1024;

daemonTest(
  'a command line that a process makes huge is refused, and makes the daemon neither grow nor wait',
  imposterOptions,
  async (t, { daemon }) => {
    await daemon.define('web', UNIT_VM);
    const lie = { ARGV: '/bin/sh|/opt/vmsecretd-launch|web', HUGE };
    const pid = await spawnImposter(t, lie);
    const knock = () => daemon.call('POST', '/v1/vms/web/launch', { pid }, 'launch');
    t.match((await knock()).json, {
      status: 403,
      code: 'forbidden',
      detail: / does not run in microvm@web\.service/,
    });
    const before = peakBytes(daemon.pid);
    for (let round = 0; round < 8; round += 1)
      for (const { status } of await Promise.all(Array.from({ length: AT_ONCE }, knock)))
        if (status !== 403) t.fail(`a knock is answered with ${status}`);
    const grownBytes = peakBytes(daemon.pid) - before;
    t.comment(`${8 * AT_ONCE} knocks: ${Math.round(grownBytes / 1024 / 1024)} MiB more at the most`);
    t.ok(grownBytes < ROOM_BYTES);
    // It looks at all processes when it starts.
    await daemon.kill9();
    await daemon.restart();
    await daemon.call('DELETE', '/v1/vms/web');
  },
);

/** More than Node has threads. */
const WITHHOLDERS = 8;

daemonTest(
  `${WITHHOLDERS} processes that withhold their command lines make the daemon wait for none`,
  { ...imposterOptions, skip: whyNoWithholder() },
  async (t, { daemon }) => {
    await daemon.define('web', UNIT_VM);
    const { pids, end } = await spawnWithholders(t, WITHHOLDERS);
    const knocks = pids.map(pid => daemon.call('POST', '/v1/vms/web/launch', { pid }, 'launch'));
    for (const { status } of await Promise.all(knocks)) t.equal(status, 403);
    t.equal((await daemon.call('POST', '/v1/reload')).status, 200, 'files are read');
    await daemon.kill9();
    await daemon.restart();
    await end();
    await daemon.call('DELETE', '/v1/vms/web');
  },
);

daemonTest(
  'a working directory whose path the kernel does not tell is no fault of the daemon',
  imposterOptions,
  async (t, { daemon }) => {
    await daemon.define('web', UNIT_VM);
    const lie = { ARGV: '/bin/sh|/opt/vmsecretd-launch|web', DEEP: socketFolder(t) };
    const pid = await spawnImposter(t, lie);
    const { json } = await daemon.call('POST', '/v1/vms/web/launch', { pid }, 'launch');
    t.match(json, { status: 403, code: 'forbidden' });
    await daemon.call('DELETE', '/v1/vms/web');
  },
);
