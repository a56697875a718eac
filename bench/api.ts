// What the API answers and how fast, against the least that fastify does on a UNIX socket.
import { join } from 'node:path';
import { BenchVms, findVmm } from './bench-vms.js';
import { Hello } from './hello.js';
import { type Load, load } from './http-load.js';
import { type Bench, medianOf } from './row.js';

const SLICE_MS = 500;
/** More VMs cost no more for each KiB of answer, give or take what a measurement may. */
const LIST_GOAL = { of: 'ratio', atMost: 1.1 } as const;

export async function benchApi(bench: Bench): Promise<void> {
  const counts = bench.isShort ? [1, 20] : [1, 100, 1000];
  const listUsPerKib = new Map<number, number[]>();
  const curves = { list: [] as Point[], show: [] as Point[] };
  await BenchVms.use(findVmm(), async vms => {
    const hello = await Hello.start(join(vms.daemon.folder, 'hello.sock'));
    try {
      for (const count of counts) {
        await vms.restartWith(count);
        for (const [what, path] of [['list', '/v1/vms'] as const, ['show', '/v1/vms/vm-0'] as const]) {
          const { ours, theirs } = await loadBoth(bench, vms, hello, path);
          const title = `${what}, ${count} VMs`;
          const against = 'bare fastify';
          const rates = (loads: Load[]) => loads.map(({ requestsPerSecond }) => requestsPerSecond);
          const p99s = (loads: Load[]) => loads.map(({ p99Ms }) => p99Ms);
          bench.add(
            { what: title, unit: 'requests/s', against },
            { ours: rates(ours), theirs: rates(theirs) },
          );
          bench.add(
            { what: `${title}, 99 % within`, unit: 'ms', against },
            { ours: p99s(ours), theirs: p99s(theirs) },
          );
          curves[what].push({ size: count, value: medianOf(rates(ours)) });
          if (what === 'list') listUsPerKib.set(count, ours.map(usPerKib));
        }
      }
    } finally {
      await hello.stop();
    }
  });
  const [fewer = 0, more = 0] = counts.slice(-2);
  const samples = { ours: listUsPerKib.get(more) ?? [], theirs: listUsPerKib.get(fewer) ?? [] };
  const what = `list, for each KiB of it, ${more} VMs`;
  bench.add({ what, unit: 'µs/KiB', against: `${fewer} VMs`, goal: LIST_GOAL }, samples);
  bench.plot(
    'requests a second by VMs',
    'requests/s',
    Object.entries(curves).map(([name, points]) => ({ name, points })),
  );
}

interface Point {
  size: number;
  value: number;
}

async function loadBoth(
  { rounds, isShort }: Bench,
  { daemon }: BenchVms,
  hello: Hello,
  path: string,
): Promise<{ ours: Load[]; theirs: Load[] }> {
  const sliceMs = isShort ? SLICE_MS / 10 : SLICE_MS;
  const ours: Load[] = [];
  const theirs: Load[] = [];
  const socketPath = daemon.socket('vmsecretd');
  // Compiled before it is measured, on both sides.
  await load(socketPath, path, sliceMs);
  await load(hello.socketPath, '/', sliceMs);
  for (let round = 0; round < Math.ceil(rounds / 4); round += 1) {
    ours.push(await load(socketPath, path, sliceMs));
    theirs.push(await load(hello.socketPath, '/', sliceMs));
  }
  return { ours, theirs };
}

function usPerKib({ requestsPerSecond, answerBytes }: Load): number {
  return 1e6 / requestsPerSecond / (answerBytes / 1024);
}
