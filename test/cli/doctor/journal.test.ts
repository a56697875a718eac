import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readLastWords } from '../../../src/cli/doctor/journal.js';

t.test('shows the last lines of the journal, as words', async t => {
  const program = join(t.testdir(), 'journalctl');
  const lines = [
    'vmsecretd: config.json is not valid',
    '{"level":50,"err":{"message":"no socket"},"msg":"failed"}',
  ];
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' ${lines.map(line => `'${line}'`).join(' ')}\n`, {
    mode: 0o755,
  });
  t.match(await readLastWords(program), [
    { level: 'warning', detail: 'vmsecretd: config.json is not valid' },
    { level: 'warning', detail: 'failed: no socket' },
  ]);
});

t.test('is silent where there is no journal', async t => {
  t.strictSame(await readLastWords('/nowhere/journalctl'), []);
});
