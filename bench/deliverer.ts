// What it costs to open secrets in a process of its own: its memory while it waits, the time until one is warm, and what
// a burst of starts pays, which share one.
import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { whyNoAge } from '../test/setup/age-program.js';
import { decryptingCommand } from './bare-vm.js';
import { BenchVms, findVmm, namesOf } from './bench-vms.js';
import { manyStarts } from './many-starts.js';
import { residentMiB, untilIdle } from './processes.js';
import { type Bench, interleave } from './row.js';

const DELIVERER = fileURLToPath(new URL('../bundle/run-deliverer.js', import.meta.url));
const EMPTY_PROGRAM = 'process.send("ready"); process.on("message", () => {})';
const BURST = 50;
const CREDENTIALS = 10;

export async function benchDeliverer(bench: Bench): Promise<void> {
  await benchWarmUp(bench);
  const count = bench.isShort ? 3 : BURST;
  await BenchVms.use(findVmm({ forMany: true }), async vms => {
    const secrets = await vms.seal(CREDENTIALS);
    for (const sealed of [[], secrets]) {
      await vms.restartWith(count, sealed);
      await untilIdle(vms.daemon.pid);
      const command = decryptingCommand(vms.vmm, vms.kernel, sealed, vms.identity);
      const { ours, theirs } = manyStarts(vms, namesOf(count), command);
      const isComparable = theirs !== undefined && (sealed.length === 0 || whyNoAge() === false);
      const rounds = Math.ceil(bench.rounds / 10);
      const samples = await interleave(rounds, isComparable ? { ours, theirs } : { ours });
      const what = `${count} starts at once, ${sealed.length} credentials each`;
      const goal = { of: 'ratio', atMost: sealed.length === 0 ? 3 : 0.6 } as const;
      const head = { what, unit: 'ms', against: 'shells with age -d' } as const;
      bench.add(isComparable && count === BURST ? { ...head, goal } : head, samples);
    }
  });
}

/** Against a Node process that does nothing. */
async function benchWarmUp(bench: Bench): Promise<void> {
  const memory: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
  const samples = await interleave(Math.ceil(bench.rounds / 2), {
    ours: () => untilReady([DELIVERER], memory.ours),
    theirs: () => untilReady(['-e', EMPTY_PROGRAM], memory.theirs),
  });
  const against = 'empty Node process';
  const goals = { warm: { of: 'ratio', atMost: 1.5 }, memory: { of: 'ours', atMost: 50 } } as const;
  bench.add({ what: 'until a deliverer is warm', unit: 'ms', against, goal: goals.warm }, samples);
  bench.add({ what: 'memory of a warm deliverer', unit: 'MiB', against, goal: goals.memory }, memory);
}

async function untilReady(args: readonly string[], memory: number[]): Promise<number> {
  const options: SpawnOptions = { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] };
  const beganAt = performance.now();
  const child = spawn(process.execPath, args, options);
  const exit = once(child, 'exit');
  await once(child, 'message');
  const tookMs = performance.now() - beganAt;
  memory.push(residentMiB(child.pid ?? 0));
  child.kill('SIGKILL');
  await exit;
  return tookMs;
}
