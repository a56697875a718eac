// How it grows: definitions that are there, VMs that start at once, run, and are taken over by the next daemon.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bareCommand } from './bare-vm.js';
import { BenchVms, findVmm, namesOf } from './bench-vms.js';
import { Hello } from './hello.js';
import { manyStarts } from './many-starts.js';
import { cpuMs, residentMiB, untilIdle } from './processes.js';
import { type Bench, durationOf, interleave, medianOf, type Samples } from './row.js';

const EMPTY_GOALS = { start: { of: 'ratio', atMost: 1.3 }, memory: { of: 'ours', atMost: 80 } } as const;
const IDLE_MS = 3_000;
/** None, but for what a timer of Node's own takes. */
const IDLE_GOAL = { of: 'ours', atMost: 1 } as const;

export async function benchScale(bench: Bench): Promise<void> {
  const vmm = findVmm({ forMany: true });
  bench.note(`VMM: ${vmm.name}${vmm.name === 'stand-in' ? ', which says nothing about starts' : ''}`);
  await BenchVms.use(vmm, async vms => {
    await benchDefinitions(bench, vms);
    await benchRunning(bench, vms);
  });
}

/** The daemon with definitions of VMs that do not run, against an empty fastify. */
async function benchDefinitions(bench: Bench, vms: BenchVms): Promise<void> {
  const startMs: Curve = [];
  const memory: Curve = [];
  const socketPath = join(vms.daemon.folder, 'hello.sock');
  for (const count of bench.isShort ? [0, 20] : [0, 100, 1000]) {
    const rss: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
    const starts = await interleave(Math.ceil(bench.rounds / 5), {
      ours: async () => {
        const tookMs = await vms.restartWith(count);
        await untilIdle(vms.daemon.pid);
        rss.ours.push(residentMiB(vms.daemon.pid));
        return tookMs;
      },
      theirs: async () => {
        const beganAt = performance.now();
        const hello = await Hello.start(socketPath);
        const tookMs = performance.now() - beganAt;
        rss.theirs.push(residentMiB(hello.pid));
        await hello.stop();
        return tookMs;
      },
    });
    const against = 'bare fastify';
    const goals = count === 0 ? EMPTY_GOALS : undefined;
    bench.add(
      { what: `daemon start, ${count} definitions`, unit: 'ms', against, goal: goals?.start },
      starts,
    );
    bench.add(
      { what: `daemon's memory, ${count} definitions`, unit: 'MiB', against, goal: goals?.memory },
      rss,
    );
    startMs.push({ size: count, value: medianOf(starts.ours) });
    memory.push({ size: count, value: medianOf(rss.ours) });
  }
  bench.plot('daemon start by definitions', 'ms', [{ name: 'vmsecretd', points: startMs }]);
  bench.plot("daemon's memory by definitions", 'MiB', [{ name: 'vmsecretd', points: memory }]);
}

type Curve = { size: number; value: number }[];

/** The daemon with VMs that run, and the same VMs started from a shell. */
async function benchRunning(bench: Bench, vms: BenchVms): Promise<void> {
  const { daemon } = vms;
  const started = { vmsecretd: [] as Curve, shell: [] as Curve };
  const adopted: Curve = [];
  const memory: Curve = [];
  const counts = bench.isShort ? [3] : [10, 50, 100];
  for (const count of counts) {
    await vms.restartWith(count);
    await untilIdle(daemon.pid);
    const starts = await startManyTimes(bench, vms, count);
    bench.add({ what: `${count} starts at once`, unit: 'ms', against: 'shells' }, starts);
    started.vmsecretd.push({ size: count, value: medianOf(starts.ours) });
    if (starts.theirs !== undefined) started.shell.push({ size: count, value: medianOf(starts.theirs) });

    await vms.startAll(namesOf(count));
    await untilIdle(daemon.pid);
    const rss = residentMiB(daemon.pid);
    bench.add({ what: `daemon's memory, ${count} VMs running`, unit: 'MiB' }, { ours: [rss] });
    memory.push({ size: count, value: rss });
    const goal = count === counts.at(-1) ? IDLE_GOAL : undefined;
    const what = `CPU when idle, ${count} VMs running`;
    bench.add({ what, unit: 'ms/s', goal }, { ours: [await idleCpu(vms)] });

    const adoptions: number[] = [];
    for (let round = 0; round < Math.ceil(bench.rounds / 10); round += 1) {
      await daemon.kill9();
      adoptions.push(await durationOf(() => daemon.restart()));
    }
    bench.add({ what: `daemon start that adopts ${count} VMs`, unit: 'ms' }, { ours: adoptions });
    adopted.push({ size: count, value: medianOf(adoptions) });
    await daemon.killVms();
  }
  bench.plot(
    'starts at once, until the last first byte',
    'ms',
    Object.entries(started).map(([name, points]) => ({ name, points })),
  );
  bench.plot("daemon's memory by running VMs", 'MiB', [{ name: 'vmsecretd', points: memory }]);
  bench.plot('daemon start by VMs to adopt', 'ms', [{ name: 'vmsecretd', points: adopted }]);
}

function startManyTimes(bench: Bench, vms: BenchVms, count: number): Promise<Samples> {
  const sides = manyStarts(vms, namesOf(count), bareCommand(vms.vmm, vms.kernel, []));
  return interleave(Math.ceil(bench.rounds / 10), sides);
}

async function idleCpu({ daemon }: BenchVms): Promise<number> {
  const before = cpuMs(daemon.pid);
  const beganAt = performance.now();
  await delay(IDLE_MS);
  return (1000 * (cpuMs(daemon.pid) - before)) / (performance.now() - beganAt);
}
