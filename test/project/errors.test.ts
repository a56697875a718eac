import { readFileSync } from 'node:fs';
import t from 'tap';
import { ERROR_TABLE } from '../../src/errors.js';

const HEADING = /^## `(\w+)` \((\d{3})\)$/gm;

t.test('docs/errors.md explains every code with its status, and no other', async t => {
  const page = readFileSync('docs/errors.md', 'utf8');
  const documented = [...page.matchAll(HEADING)].map(([, code, status]) => `${code} ${status}`);
  const known = Object.entries(ERROR_TABLE).map(([code, { status }]) => `${code} ${status}`);
  t.strictSame(documented.toSorted(), known.toSorted());
});

t.test('each explanation says what it means and what to do', async t => {
  const sections = readFileSync('docs/errors.md', 'utf8').split(/^## /m).slice(1);
  for (const section of sections) {
    const code = section.slice(0, section.indexOf('\n'));
    t.match(section, /\n\n[^\n][\s\S]*\n\n\*\*Do:\*\* /, code);
  }
});
