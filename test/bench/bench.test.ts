// Runs every section of the benchmark with few and small things, and prints its ratios. Fails when the benchmark breaks,
// never for a figure: a machine that runs tests is no machine to measure on.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { isMet, type Row } from '../../bench/row.js';
import { whyNoAge } from '../setup/age-program.js';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { whyNoRealVmHost } from '../systemd/vm-host.js';

const TIMEOUT_MS = 300_000;
/** A ratio this far past its goal is pointed out; anything nearer is noise. */
const ROOM = 2;

t.setTimeout(TIMEOUT_MS);

t.test('measures every section, and tells what is far from its goal', { skip: whyNoAge() }, async t => {
  const json = join(t.testdir(), 'bench.json');
  const bench = join(PROJECT_ROOT, 'dist/bench/bench.js');
  execFileSync(process.execPath, [bench, '--short', '--json', json], {
    cwd: PROJECT_ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: TIMEOUT_MS,
  });
  const { rows } = JSON.parse(readFileSync(json, 'utf8')) as { rows: (Row & { section: string })[] };
  const unitStart = whyNoRealVmHost() === false ? ['unit-start'] : [];
  const sections = ['start', ...unitStart, 'decryption', 'conversion', 'api', 'scale', 'deliverer'];
  t.strictSame([...new Set(rows.map(({ section }) => section))], sections);
  for (const { section, what, ours, theirs } of rows) {
    t.ok(Number.isFinite(ours.median), `${section}: ${what} has a figure`);
    if (theirs !== undefined) t.ok(theirs.median > 0, `${section}: ${what} has one to compare with`);
  }
  for (const row of rows.filter(({ ratio }) => ratio !== undefined)) {
    const { goal } = row;
    const isFar =
      goal !== undefined && isMet({ ...row, goal: { ...goal, atMost: ROOM * goal.atMost } }) === false;
    t.comment(
      `${row.section}: ${row.what}: ratio ${row.ratio?.toFixed(2)}${isFar ? ' FAR FROM ITS GOAL' : ''}`,
    );
  }
});
