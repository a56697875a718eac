// A daemon without a descriptor left does what it can, refuses the rest, and is well again once it has some.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { daemonTest } from './daemon-test.js';
import { callUnix } from './unix-api.js';
import { defineVm, STAND_IN } from './vmm.js';

/** Descriptors beyond those that it has: from none for a connection to nearly enough for a child. */
const SPARE = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15];

daemonTest(
  'outlives a shortage of descriptors',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    for (const name of ['adopted', 'web']) await defineVm(STAND_IN, rig, name);
    const { pid } = await daemon.act('adopted', 'start');
    await daemon.kill9();
    await daemon.restart();
    const daemonPid = daemon.pid;
    const limit = (count: string) =>
      execFileSync('prlimit', ['--pid', String(daemonPid), `--nofile=${count}`], { stdio: 'ignore' });
    const before = execFileSync('prlimit', [
      '--pid',
      String(daemonPid),
      '--nofile',
      '--output',
      'SOFT,HARD',
      '--noheadings',
    ])
      .toString()
      .trim()
      .split(/\s+/);
    for (const spare of SPARE) {
      limit(`${readdirSync(`/proc/${daemonPid}/fd`).length + spare}:${before[1]}`);
      const ask = (method: string, path: string) =>
        callUnix({ socketPath: daemon.socket('admin'), method, path, timeoutMs: 2_000 }).catch(
          () => undefined,
        );
      daemon.signal('SIGHUP');
      await Promise.all([
        ask('POST', '/v1/vms/web/start'),
        ask('POST', '/v1/vms/web/check'),
        ask('POST', '/v1/reload'),
        ask('POST', '/v1/vms/adopted/pause'),
      ]);
      // A warm-up comes a moment after the start.
      await delay(100);
      await ask('POST', '/v1/vms/web/kill');
      limit(before.join(':'));
      t.ok(daemon.isRunning, `with ${spare} descriptors to spare`);
    }
    t.equal(daemon.pid, daemonPid);
    await daemon.act('web', 'kill');
    t.match(await daemon.act('web', 'start'), { state: 'running' });
    t.match(await daemon.act('adopted', 'resume'), { state: 'running', pid });
    t.match(await daemon.act('adopted', 'kill'), { state: 'stopped' });
  },
);
