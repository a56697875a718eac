import { test } from 'tap';
import { checkOemStrings, credentialNameOf } from '../../src/definition/oem-strings.js';

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

test('tells the name of the credential in a static string, and of no other string', async t => {
  t.equal(credentialNameOf('io.systemd.credential:A=b=c'), 'A');
  t.equal(credentialNameOf('io.systemd.credential.binary:A.b=AAA='), 'A.b');
  for (const other of [
    'io.systemd.credential:A',
    'xio.systemd.credential:A=b',
    'io.systemd.credentials:A=b',
    '',
  ]) {
    t.equal(credentialNameOf(other), undefined, other);
  }
});
