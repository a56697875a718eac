#!/usr/bin/env node
// What vmsecretd costs, beside what one has without it, both in one run: `npm run bench`. docs/performance.md says how to
// read it. `-- --only start,api` runs some sections, `--rounds N` sets the samples of a figure, `--json FILE` keeps all.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { benchApi } from './api.js';
import { benchConversion } from './conversion.js';
import { benchDecryption } from './decryption.js';
import { benchDeliverer } from './deliverer.js';
import { plot } from './plot.js';
import { type Bench, type Row, rowOf } from './row.js';
import { benchScale } from './scale.js';
import { benchStart } from './start.js';
import { table } from './table.js';
import { benchUnitStart } from './unit-start.js';

const SECTIONS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  start: benchStart,
  'unit-start': benchUnitStart,
  decryption: benchDecryption,
  conversion: benchConversion,
  api: benchApi,
  scale: benchScale,
  deliverer: benchDeliverer,
};

const DEFAULT_ROUNDS = 30;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(SECTIONS).join(',') },
    rounds: { type: 'string' },
    json: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});

const rounds = Number(flags.rounds ?? (flags.short ? 2 : DEFAULT_ROUNDS));
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${flags.rounds}: a number from 1 on`);
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cpus: availableParallelism(),
  kernel: execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim(),
  date: new Date().toISOString().slice(0, 10),
  rounds,
};
console.log(
  Object.entries(machine)
    .map(([key, value]) => `${key} ${value}`)
    .join(', '),
);
console.log(
  `load ${loadavg()
    .map(load => load.toFixed(1))
    .join(' ')}: figures of a busy machine are no findings\n`,
);

const rows: (Row & { section: string })[] = [];
const notes: string[] = [];
for (const section of flags.only.split(',')) {
  const run = SECTIONS[section];
  if (run === undefined) throw new Error(`--only ${section}: one of ${Object.keys(SECTIONS).join(', ')}`);
  const beganAt = performance.now();
  const first = rows.length;
  await run({
    rounds,
    isShort: flags.short,
    add: (head, samples) => void rows.push({ section, ...rowOf(head, samples) }),
    plot: (title, unit, series) => console.log(`${plot(title, unit, series)}\n`),
    note: text => {
      notes.push(`${section}: ${text}`);
      console.log(`${section}: ${text}`);
    },
  });
  const tookSeconds = (performance.now() - beganAt) / 1000;
  console.log(`${section} took ${tookSeconds.toFixed(0)} s\n\n${table(rows.slice(first))}\n`);
}

const withGoal = rows.filter(row => row.goal !== undefined);
if (withGoal.length > 0) console.log(`Goals\n\n${table(withGoal)}`);
if (flags.json !== undefined)
  writeFileSync(flags.json, `${JSON.stringify({ machine, rows, notes }, null, 2)}\n`);
