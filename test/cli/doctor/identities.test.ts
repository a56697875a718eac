import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkIdentities } from '../../../src/cli/doctor/identities.js';
import { SSH_HOST_KEYS } from '../../../src/default-identities.js';

t.test('asks for each file that is named, and of the default keys only for those that are there', async t => {
  const folder = t.testdir({ key: '', open: '', passphrase: '' });
  const path = (name: string) => join(folder, name);
  chmodSync(path('key'), 0o600);
  chmodSync(path('passphrase'), 0o600);
  chmodSync(path('open'), 0o644);
  const defaultKey = '/etc/ssh/ssh_host_ed25519_key';
  t.ok(SSH_HOST_KEYS.includes(defaultKey));
  const findings = await checkIdentities([path('key'), path('open'), path('absent')], [path('passphrase')]);
  t.match(findings, [
    { check: 'identity', level: 'ok' },
    { check: 'identity', level: 'wrong', fix: `chmod 600 ${path('open')}` },
    { check: 'identity', level: 'wrong', detail: `${path('absent')} does not exist` },
    { check: 'passphrase file', level: 'ok' },
  ]);
  const withDefaults = await checkIdentities([path('key'), ...SSH_HOST_KEYS], []);
  t.strictSame(
    withDefaults.filter(({ level }) => level === 'wrong'),
    [],
  );
});

t.test('a key that opens no age file is not well', async t => {
  const path = join(t.testdir(), 'ecdsa');
  execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', path]);
  t.match(await checkIdentities([path], []), [
    { check: 'identity', level: 'wrong', detail: /ecdsa/i, fix: /take it out of identities/ },
  ]);
  const good = join(t.testdir({}), 'ed25519');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', good]);
  t.match(await checkIdentities([good], []), [{ check: 'identity', level: 'ok' }]);
});

t.test('warns where there is no identity at all', async t => {
  t.match(await checkIdentities([], []), [{ level: 'warning', detail: /looked for: nothing/ }]);
  t.match(await checkIdentities(['/nowhere/key', '/nowhere/other'], []), [
    { level: 'wrong' },
    { level: 'wrong' },
    {
      level: 'warning',
      detail: 'looked for: /nowhere/key, /nowhere/other): age files open only for VMs whose',
    },
  ]);
});

const skip = process.getuid?.() === 0 ? false : 'only root gives a file away';
t.test("refuses, for root, a key that is somebody else's", { skip }, async t => {
  const folder = t.testdir({ key: '' });
  chmodSync(join(folder, 'key'), 0o600);
  chownSync(join(folder, 'key'), 65_534, 65_534);
  t.match(await checkIdentities([join(folder, 'key')], []), [{ level: 'wrong', fix: /chown root/ }]);
});

t.test('names the link that leads nowhere, and the loop', async t => {
  const folder = t.testdir({ dangling: t.fixture('symlink', 'gone'), loop: t.fixture('symlink', 'loop') });
  const path = (name: string) => join(folder, name);
  t.match(await checkIdentities([path('dangling'), path('loop')], []), [
    {
      level: 'wrong',
      detail: `leads by the link ${path('dangling')} to ${path('gone')}, which does not exist`,
    },
    { level: 'wrong', detail: `leads into a loop of links at ${path('loop')}` },
  ]);
});
