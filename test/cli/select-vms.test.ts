import t from 'tap';
import type { Client } from '../../src/cli/client.js';
import { matcherOf, resolveNames } from '../../src/cli/select-vms.js';

t.test('a pattern matches names as a shell matches files', async t => {
  const cases: [pattern: string, matching: string[], others: string[]][] = [
    ['web*', ['web', 'web1', 'web.x'], ['aweb', 'we']],
    ['web?', ['web1'], ['web', 'web12']],
    ['db-[0-9]', ['db-1'], ['db-a', 'db-12']],
    ['db-[!0-9]', ['db-a'], ['db-1']],
    ['a.b', ['a.b'], ['aXb']],
    ['*', ['web'], []],
  ];
  for (const [pattern, matching, others] of cases) {
    for (const name of matching) t.ok(matcherOf(pattern)(name), `${pattern} ${name}`);
    for (const name of others) t.notOk(matcherOf(pattern)(name), `${pattern} ${name}`);
  }
  t.throws(() => matcherOf('web['), /web\[ is not a pattern/);
});

t.test('names stand once, and a pattern that matches nothing is an error', async t => {
  const vms = ['db', 'web1', 'web2'].map(name => ({ name }));
  const client = { call: async () => ({ vms }) } as unknown as Client;
  t.strictSame(await resolveNames(client, ['web2', 'web*', 'nobody', 'web2']), ['web2', 'web1', 'nobody']);
  const error = await resolveNames(client, ['x*']).catch(thrown => thrown);
  t.match(error, { exitStatus: 3, message: /No VM matches x\*/ });
});
