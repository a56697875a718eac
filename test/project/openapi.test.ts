// openapi.json as programs take it: linted as @redocly/cli does, with its recommended rules.
import { readFileSync } from 'node:fs';
import { createConfig, lint } from '@redocly/openapi-core';
import t from 'tap';

const FILE = 'dist/bundle/openapi.json';

t.test('openapi.json passes the linter without a warning', async t => {
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lint({ ref: FILE, config });
  t.strictSame(
    problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer ?? ''}`),
    [],
  );
});

t.test('each operation has an id of its own, which is a name in programs', async t => {
  const { paths } = JSON.parse(readFileSync(FILE, 'utf8')) as {
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  const ids = Object.values(paths).flatMap(methods =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  t.ok(ids.length > 20);
  t.equal(new Set(ids).size, ids.length);
  for (const id of ids) t.match(id, /^[a-z][A-Za-z]+$/);
});
