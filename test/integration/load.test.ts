// Much at once: a thousand definitions, many starts, VMMs killed in the middle of requests, clients that stall or leave.
// VMSECRETD_LOAD=full runs the full counts.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import type { TestDaemon } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { apiSocketOf, CLOUD_HYPERVISOR, defineVm, STAND_IN, type Vmm } from './vmm.js';

const IS_FULL = process.env.VMSECRETD_LOAD === 'full';
const STARTS = IS_FULL ? 100 : 10;
const DEFINITIONS = IS_FULL ? 1_000 : 200;
const STALLED_CLIENTS = 50;
const TIMEOUT_MS = IS_FULL ? 600_000 : 300_000;
/** 45 KB of OEM strings: the most that v53 takes is 51,200 bytes with everything else. */
const LARGE_BYTES = 33_000;

function optionsFor({ skip, hypervisors }: Vmm) {
  return { skip, config: { hypervisors }, fileTimeoutMs: TIMEOUT_MS, timeoutMs: TIMEOUT_MS / 3 };
}

function residentMiB({ pid }: TestDaemon): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

async function listed({ daemon }: Rig): Promise<number> {
  const { vms } = (await daemon.call('GET', '/v1/vms')).json as { vms: unknown[] };
  return vms.length;
}

daemonTest(
  `${DEFINITIONS} definitions are loaded, listed and reloaded`,
  optionsFor(STAND_IN),
  async (t, rig) => {
    const { daemon } = rig;
    t.setTimeout(TIMEOUT_MS);
    const write = (index: number, text: string) =>
      writeFileSync(
        join(daemon.definitions, `vm${index}.json`),
        JSON.stringify({
          command: ['--kernel', '/k'],
          supervisor: 'daemon',
          credentials: { TEXT: { text } },
        }),
      );
    for (let index = 0; index < DEFINITIONS; index += 1) write(index, 'first');
    const reload = async () => (await daemon.call('POST', '/v1/reload')).json;
    t.match(await reload(), { definitions: DEFINITIONS, problems: [] });
    t.equal(await listed(rig), DEFINITIONS);
    const before = { files: readdirSync(`/proc/${daemon.pid}/fd`).length, mib: residentMiB(daemon) };
    for (let round = 0; round < 10; round += 1) {
      write(0, `round ${round}`);
      await reload();
    }
    t.ok(residentMiB(daemon) < before.mib + 100, `from ${before.mib} to ${residentMiB(daemon)} MiB`);
    t.ok(readdirSync(`/proc/${daemon.pid}/fd`).length <= before.files + 5, 'no file stays open');
    await daemon.kill9();
    await daemon.restart();
    t.equal(await listed(rig), DEFINITIONS);
    for (let index = 1; index < DEFINITIONS; index += 1) rmSync(join(daemon.definitions, `vm${index}.json`));
    t.match(await reload(), { definitions: 1 });
    t.equal(await listed(rig), 1);
  },
);

for (const vmm of [STAND_IN, CLOUD_HYPERVISOR]) {
  daemonTest(
    `${vmm.name}: ${STARTS} starts at once, and VMMs killed in the middle of requests`,
    optionsFor(vmm),
    async (t, rig) => {
      const { daemon } = rig;
      t.setTimeout(TIMEOUT_MS);
      const names = Array.from({ length: STARTS }, (_, index) => `vm${index}`);
      const restartOf = (name: string) => (Number(name.slice(2)) % 2 === 0 ? 'on-failure' : 'no');
      for (const name of names) await defineVm(vmm, rig, name, { more: { restart: restartOf(name) } });
      const started = await Promise.all(names.map(name => daemon.act(name, 'start')));
      const pids = started.map(vm => vm.pid ?? 0).sort((a, b) => a - b);
      t.strictSame(
        daemon.vmms().sort((a, b) => a - b),
        pids,
        'each VM has one VMM',
      );
      const requests = names.flatMap(name =>
        ['pause', 'resume', 'reboot'].map(verb => daemon.call('POST', `/v1/vms/${name}/${verb}`)),
      );
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      for (const { status } of await Promise.all(requests)) {
        if (![200, 409, 502].includes(status)) t.fail(`a request was answered with ${status}`);
      }
      for (const name of names) {
        const isBack = restartOf(name) === 'on-failure';
        const vm = await daemon.untilVm(name, isBack ? 'runs again' : 'has failed', ({ state, restarts }) =>
          isBack ? state === 'running' && restarts > 0 : state === 'failed',
        );
        if (!isBack && vm.problem?.code !== 'vmm_refused') t.fail(`${name}: ${JSON.stringify(vm.problem)}`);
      }
      t.equal(daemon.vmms().length, Math.ceil(STARTS / 2), 'and no VMM is there that should not be');
    },
  );

  daemonTest(
    `${vmm.name}: a guest that got 45 KB and powers off is stopped within two seconds`,
    optionsFor(vmm),
    async (t, rig) => {
      const { daemon } = rig;
      const LARGE = { age: await daemon.seal('large', Buffer.alloc(LARGE_BYTES, 'x')) };
      await defineVm(vmm, rig, 'web', { more: { credentials: { LARGE } } });
      await daemon.act('web', 'start');
      await daemon.untilConsole('web', END_OF_OEM_STRINGS);
      const askedAt = performance.now();
      // It resolves when the VMM is gone; what the daemon says is to come soon after.
      const gone = vmm.powerOff(apiSocketOf(rig, 'web'));
      await daemon.untilVm('web', 'is stopped', vm => vm.state === 'stopped');
      t.ok(performance.now() - askedAt < 2_000, `${Math.round(performance.now() - askedAt)} ms`);
      await gone;
    },
  );
}

daemonTest('works on while clients stall, and when they leave', optionsFor(STAND_IN), async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const half = 'PUT /v1/vms/half HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
  const beginnings = ['POST /v1/vms/web/sta', `${half}content-length: 999\r\n\r\n{"command":`];
  const stalled = Array.from({ length: STALLED_CLIENTS }, (_, index) => {
    const socket = connect(daemon.socket('admin'));
    socket.on('error', () => {}).write(beginnings[index % beginnings.length] ?? '');
    return socket;
  });
  const impatient = connect(daemon.socket('admin'));
  impatient.write('POST /v1/vms/web/start HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
  await daemon.until('the start has begun', () => daemon.events.some(({ state }) => state === 'starting'));
  impatient.destroy();
  await daemon.untilVm('web', 'runs', vm => vm.state === 'running');
  t.match(await daemon.act('web', 'stop'), { state: 'stopped' });
  for (const socket of stalled) socket.destroy();
  t.match(await daemon.call('GET', '/v1/vms/half'), { status: 404 }, 'half a request does nothing');
});
