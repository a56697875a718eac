import { test } from 'tap';
import { checkBudget, checkOemStrings } from '../../src/credentials/limits.js';

const names = (count: number) => Array.from({ length: count }, (_, at) => `N${at}`);

test('takes 255 OEM strings in all and refuses one more', async t => {
  t.doesNotThrow(() => checkOemStrings('web', ['a'], names(254)));
  t.throws(() => checkOemStrings('web', ['a', 'b'], names(254)), {
    code: 'credentials_too_many',
    message: /^VM web: 256 OEM strings \(254 of them credentials\).* 255 /,
  });
});

test('refuses an empty static string and one with a NUL', async t => {
  t.throws(() => checkOemStrings('web', ['a', ''], []), { code: 'definition_invalid', message: /empty/ });
  t.throws(() => checkOemStrings('web', ['a\0b'], []), { code: 'definition_invalid', message: /NUL/ });
});

test('refuses a name that is none', async t => {
  t.throws(() => checkOemStrings('web', [], ['a/b']), { code: 'credential_name_invalid' });
});

test('refuses a credential that is there twice, in static strings of either kind or beside them', async t => {
  for (const [strings, credentials] of [
    [['io.systemd.credential:KEY=a'], ['KEY']],
    [['io.systemd.credential.binary:KEY=YQ=='], ['KEY']],
    [['io.systemd.credential:KEY=a', 'io.systemd.credential.binary:KEY=YQ=='], []],
    [[], ['KEY', 'KEY']],
  ] as const) {
    t.throws(() => checkOemStrings('web', strings, credentials), {
      code: 'credential_duplicate',
      message: /^VM web: credential KEY is there twice/,
    });
  }
  t.doesNotThrow(() => checkOemStrings('web', ['io.systemd.credential:KEY=a', 'same', 'same'], ['key']));
});

test('takes sizes up to the limit; over it tells the largest parts and how many more there are', async t => {
  const limit = { of: 'the table', sizeBytes: 21 };
  const parts = names(6).map((label, at) => ({ label, sizeBytes: at + 1 }));
  t.doesNotThrow(() => checkBudget('web', parts, limit));
  t.throws(() => checkBudget('web', [...parts, { label: 'more', sizeBytes: 1 }], limit), {
    code: 'credentials_too_large',
    message: /22 bytes do not fit into the table \(21 bytes\): N5 6, N4 5, N3 4, N2 3, N1 2, 2 smaller ones;/,
    details: { usedBytes: 22, limitBytes: 21 },
  });
});
