import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const tests = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts') && !path.endsWith('threat-model.test.ts'))
  .map(path => readFileSync(join('test', path), 'utf8'))
  .join('\n');

t.test('docs/threat-model.md names for each threat a test, and each is there', async t => {
  const page = readFileSync('docs/threat-model.md', 'utf8');
  const rows = page.split('## Threats')[1]?.split('\n## ')[0]?.split('\n').slice(4).filter(Boolean) ?? [];
  t.ok(rows.length > 20, `${rows.length} threats`);
  for (const row of rows) {
    const cells = row.split('|').map(cell => cell.trim());
    const titles = [...(cells[3] ?? '').matchAll(/`([^`]+)`/g)].map(([, title]) => title ?? '');
    t.ok(titles.length > 0, `${cells[1]}`);
    for (const title of titles) t.ok(isTitle(title), title);
  }
});

/** A title begins with its words or with what varies, which stands in braces. */
function isTitle(title: string): boolean {
  const escaped = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(
    `(test\\(\\s*|Test\\(\\s*|title: )['"\`]([^'"\`\\n]*\\} (that [^'"\`\\n]*\\} )?)?${escaped}`,
  ).test(tests);
}
