// A VMM that was taken over: whatever it answers, the daemon says so in time, with a code, in bounded memory, and ends it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { peakBytes } from '../setup/peak-memory.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { callUnix, openUnix } from './unix-api.js';
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

/** A name with a blank: no pattern that knows credentials by their text would hide this one. */
const NAMED = 'API KEY';
const RECITALS = ['create-quotes', 'create-remembers', 'boot-recites', 'boot-confesses'];

daemonTest(
  'what a VMM with secrets says is for root alone: operators, events and the log have status and phase',
  options,
  async (t, rig) => {
    const { daemon, canary } = rig;
    const command = ['--kernel', '/dev/null', '--serial', 'off', '--console', 'off'];
    const age = await daemon.seal('canary', canary.text);
    const asOperator = (method: string, path: string) => daemon.call(method, path, undefined, 'vmsecretd');
    const events = await openUnix({
      socketPath: daemon.socket('vmsecretd'),
      method: 'GET',
      path: '/v1/events',
      timeoutMs: TIMEOUT_MS,
    });
    let told = '';
    events.on('data', (text: Buffer) => {
      told += text;
    });
    const asRoot: string[] = [];
    for (const name of RECITALS) {
      await daemon.define(name, { command, credentials: { [NAMED]: { age } }, restart: 'no' });
      const answers = [
        await asOperator('POST', `/v1/vms/${name}/start`),
        await asOperator('GET', `/v1/vms/${name}`),
        await asOperator('GET', '/v1/vms'),
        await asOperator('POST', `/v1/vms/${name}/start?wait=ready`),
      ];
      t.match(answers[0], { status: 502, json: { code: 'vmm_refused' } });
      t.match(answers[0]?.json, { detail: /refused vm\.(create|boot) with status|exited with status 1/ });
      for (const { body } of answers) t.strictSame(canary.searchText(name, Buffer.from(body)), [], name);
      // Not by daemon.call, whose answers are searched in the end.
      const { body } = await callUnix({
        socketPath: daemon.socket('admin'),
        method: 'GET',
        path: `/v1/vms/${name}`,
        timeoutMs: TIMEOUT_MS,
      });
      if (canary.searchText(name, Buffer.from(body)).length > 0) asRoot.push(name);
      for (const log of ['', '.old'])
        rmSync(join(daemon.runtime, 'logs', `${name}.vmm.log${log}`), { force: true });
      t.equal((await daemon.call('DELETE', `/v1/vms/${name}`)).status, 204);
    }
    t.strictSame(asRoot, RECITALS.slice(1), 'the search finds what root is told');
    events.destroy();
    t.match(told, 'vmm_refused');
    t.strictSame(canary.searchText('events', Buffer.from(told)), []);
  },
);
