// Many VMs started at once, by the daemon and by as many shells at a time as it has starts.
import { availableParallelism } from 'node:os';
import pLimit from 'p-limit';
import { BareVm } from './bare-vm.js';
import type { BenchVms } from './bench-vms.js';
import { untilIdle } from './processes.js';
import { durationOf } from './row.js';

/** As the daemon has it unless config.json says otherwise. */
const START_CONCURRENCY = 2 * availableParallelism();

interface ManyStarts {
  ours(): Promise<number>;
  theirs?(): Promise<number>;
}

/** The stand-in takes no VM on its command line: nothing to compare with. */
export function manyStarts(vms: BenchVms, names: readonly string[], command: string): ManyStarts {
  const ours = async () => {
    await untilIdle(vms.daemon.pid);
    const tookMs = await vms.startAll(names);
    await vms.daemon.killVms();
    return tookMs;
  };
  if (vms.vmm.name === 'stand-in') return { ours };
  return { ours, theirs: () => startFromShells(command, names.length) };
}

async function startFromShells(command: string, count: number): Promise<number> {
  const limit = pLimit(START_CONCURRENCY);
  const started: BareVm[] = [];
  const start = () => limit(async () => started.push(await BareVm.start(command)));
  try {
    return await durationOf(() => Promise.all(Array.from({ length: count }, start)));
  } finally {
    await Promise.all(started.map(vm => vm.kill()));
  }
}
