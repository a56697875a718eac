// Everybody may knock at launch.sock, and nobody makes the daemon run programs by it.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
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
