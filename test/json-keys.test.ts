import fc from 'fast-check';
import { test } from 'tap';
import { findJsonFault, parseJsonOnce } from '../src/json-keys.js';

const numRuns = Number(process.env.VMSECRETD_ROUNDS ?? 300);
const seed = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);

test(`finds no double key in what JSON.stringify wrote (seed ${seed})`, async () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      return findJsonFault(text) === undefined;
    }),
    { numRuns, seed },
  );
});

test(`finds a key that was planted twice, wherever and however it is written (seed ${seed})`, async () => {
  const escapeAll = (key: string) =>
    [...key].map(letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  fc.assert(
    fc.property(fc.jsonValue(), fc.stringMatching(/^[a-z"\\{}:,[\]]{1,8}$/), (value, key) => {
      const between = JSON.stringify(value);
      const text = `[{"x": {${JSON.stringify(key)} : ${between}, "${escapeAll(key)}": ${between}}}]`;
      return (
        findJsonFault(text) === `the key ${JSON.stringify(key.slice(0, 200))} is there twice in one object`
      );
    }),
    { numRuns, seed },
  );
});

test('refuses a credential that is there twice, which JSON.parse would drop', async t => {
  const text = '{"credentials": {"A": {"text": "x"}, "B": {"text": "A"}, "A": {"text": "y"}}}';
  t.throws(() => parseJsonOnce(text), { name: 'SyntaxError', message: /"A" is there twice/ });
  t.strictSame(parseJsonOnce('[{"a": 1}, {"a": 1, "b": {"a": "\\"a\\": 1"}}]'), [
    { a: 1 },
    { a: 1, b: { a: '"a": 1' } },
  ]);
});

test('refuses what is nested so deep that walking through it would run out of stack', async t => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  t.equal(findJsonFault(nested(100)), undefined);
  t.throws(() => parseJsonOnce(nested(100_000)), { message: 'it is nested deeper than 100' });
});

test('quotes nothing of a text that is no JSON', async t => {
  for (const text of [
    '{"passphraseFiles": [hunter2]}',
    'hunter2',
    '{"a": "hunter2',
    '["hunter2" 5]',
    '{hunter2',
    '[1,]hunter2',
  ])
    try {
      parseJsonOnce(text);
      t.fail(text);
    } catch (error) {
      t.type(error, SyntaxError);
      t.notMatch((error as Error).message, 'unter2', text);
    }
});
