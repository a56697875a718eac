// How long command lines of microvm.nix take to become VM configs.
import { readFileSync } from 'node:fs';
import { convertCommand } from '../src/hypervisor/cloud-hypervisor/from-command.js';
import { benchReadBack } from './read-back.js';
import { type Bench, durationOf } from './row.js';

const FIXTURE = new URL(
  '../../test/fixtures/cloud-hypervisor-v53/microvm-nix-command-lines.jsonl',
  import.meta.url,
);
const BATCHES = 40;
/** So that a batch of all lines takes milliseconds. */
const REPEATS = 50;

export async function benchConversion(bench: Bench): Promise<void> {
  const lines = readFileSync(FIXTURE, 'utf8')
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { argv: string[] }).argv);
  const longest = lines.reduce((a, b) => (b.join(' ').length > a.join(' ').length ? b : a));
  bench.note(`${lines.length} lines; the longest has ${longest.length} words`);
  const firstMs = await durationOf(() => convertCommand(longest));
  bench.add({ what: 'the longest line, first of its process', unit: 'µs' }, { ours: [1000 * firstMs] });
  const perSecond: number[] = [];
  const longestUs: number[] = [];
  for (let batch = 0; batch < (bench.isShort ? 2 : BATCHES); batch += 1) {
    const allMs = await durationOf(() =>
      repeat(() => {
        for (const line of lines) convertCommand(line);
      }),
    );
    perSecond.push((1000 * REPEATS * lines.length) / allMs);
    longestUs.push((1000 * (await durationOf(() => repeat(() => convertCommand(longest))))) / REPEATS);
  }
  bench.add({ what: 'the longest line', unit: 'µs' }, { ours: longestUs });
  bench.add({ what: 'all lines', unit: 'lines/s' }, { ours: perSecond });
  await benchReadBack(bench);
}

function repeat(work: () => unknown): void {
  for (let count = 0; count < REPEATS; count += 1) work();
}
