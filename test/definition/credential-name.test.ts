import { test } from 'tap';
import { checkCredentialName } from '../../src/definition/credential-name.js';

test('takes 1-255 printable ASCII characters', async t => {
  for (const name of ['a', 'x'.repeat(255), 'a b', '...', '.a', '"\\,]', '__proto__', '~']) {
    t.doesNotThrow(() => checkCredentialName('web', name), name);
  }
});

test('refuses what systemd would not take, naming VM and name', async t => {
  for (const name of ['', 'x'.repeat(256), '.', '..', 'a/b', 'a:b', 'a=b', 'a\0', 'a\n', 'ä', '\x7f']) {
    t.throws(
      () => checkCredentialName('web', name),
      { code: 'credential_name_invalid', message: /^VM web: ".* 1-255 printable ASCII/ },
      JSON.stringify(name),
    );
  }
});
