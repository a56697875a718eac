// A VMM that was taken over: whatever it answers, the daemon says so in time, with a code, in bounded memory, and ends it.
import type { Test } from 'tap';
import { peakBytes } from '../setup/peak-memory.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN, standIn } from './vmm.js';

const START_TIMEOUT_SECONDS = 3;
/** What else the start does, on a machine that has other things to do. */
const GRACE_MS = 20_000;
const AT_ONCE = 6;
/** What V8 has not collected yet of floods in six VMs at once; kept answers would be four times as much. */
const GROWTH_BYTES = 192 * 1024 * 1024;

const HOW = {
  ping: 'endless chunks informational headers huge slow silent garbage upgrade null closes half dies',
  create:
    'endless chunks informational headers huge slow silent garbage upgrade types null status closes half escapes quotes remembers dies',
  info: 'endless chunks informational headers huge slow silent garbage upgrade types null status closes half escapes quotes dies',
  boot: 'endless chunks informational headers huge slow silent garbage upgrade types null status closes half escapes dies',
};
const NAMES = [
  'before-listening',
  'after-listening',
  ...Object.entries(HOW).flatMap(([step, hows]) => hows.split(' ').map(how => `${step}-${how}`)),
];

const options = {
  config: {
    hypervisors: { 'cloud-hypervisor': { path: standIn('hostile-vmm') } },
    startConcurrency: AT_ONCE,
  },
};

async function failsToStart(t: Test, rig: Rig, name: string): Promise<void> {
  const { daemon } = rig;
  const command = ['--kernel', '/dev/null', '--serial', 'off', '--console', 'off'];
  await defineVm(STAND_IN, rig, name, { more: { command, startTimeoutSeconds: START_TIMEOUT_SECONDS } });
  const beganAt = performance.now();
  const answer = await daemon.call('POST', `/v1/vms/${name}/start`);
  const tookMs = performance.now() - beganAt;
  const json = { code: /^vmm_(refused|timeout)$/, detail: /^[^\p{Cc}\p{Cf}]{10,2500}$/u };
  t.match(answer, { status: /^50[24]$/, json }, name);
  t.ok(tookMs < START_TIMEOUT_SECONDS * 1000 + GRACE_MS, `${name}: in ${Math.round(tookMs)} ms`);
  t.match(await daemon.show(name), { state: 'failed', pid: null }, name);
}

daemonTest(
  'a VMM that was taken over is told in time, with a code, in bounded memory, and is ended',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    peakBytes(daemon.pid);
    const before = peakBytes(daemon.pid);
    for (let at = 0; at < NAMES.length; at += AT_ONCE) {
      await Promise.all(NAMES.slice(at, at + AT_ONCE).map(name => failsToStart(t, rig, name)));
      t.strictSame(daemon.vmms(), [], 'no VMM is left');
    }
    const growth = peakBytes(daemon.pid) - before;
    t.ok(growth < GROWTH_BYTES, `the daemon grew by ${Math.round(growth / 1024 / 1024)} MiB`);
    t.match(await daemon.call('GET', '/v1/health'), { status: 200 });
  },
);
