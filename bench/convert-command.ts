// How long the conversion of microvm.nix command lines takes: `node dist/bench/convert-command.js`

import { readFileSync } from 'node:fs';
import { convertCommand } from '../src/hypervisor/cloud-hypervisor/from-command.js';

const ROUNDS = 2000;
const lines = readFileSync('test/fixtures/cloud-hypervisor-v53/microvm-nix-command-lines.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map(line => (JSON.parse(line) as { argv: string[] }).argv);

const durationsMs: number[] = [];
const firstMs = measure(lines[0] ?? []);
for (let round = 0; round < ROUNDS; round++) durationsMs.push(...lines.map(measure));
durationsMs.sort((a, b) => a - b);
const at = (share: number): string => (durationsMs[Math.floor(durationsMs.length * share)] ?? 0).toFixed(3);
console.log(
  `convert a microvm.nix line: first ${firstMs.toFixed(3)} ms, median ${at(0.5)} ms, 99 % within ${at(0.99)} ms`,
);

function measure(argv: readonly string[]): number {
  const started = performance.now();
  convertCommand(argv);
  return performance.now() - started;
}
