import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption';
import t from 'tap';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import { makeSshKey } from '../setup/age-program.js';
import { whyNotOnPath } from '../setup/programs.js';

const folder = t.testdir({});
const at = (name: string) => join(folder, name);

function write(name: string, content: string, mode = 0o600): string {
  writeFileSync(at(name), content, { mode });
  return at(name);
}

const keys = [await generateX25519Identity(), await generateHybridIdentity(), await generateX25519Identity()];
const files = await Promise.all(
  keys.map(async (key, index) => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(key));
    writeFileSync(at(`${index}.age`), await encrypter.encrypt(`value ${index}`));
    return at(`${index}.age`);
  }),
);
const load = (paths: string[], passphraseFiles: string[] = []) =>
  loadIdentities({ vm: 'my-app', paths, passphraseFiles });

t.test('reads comments, blank lines, CRLF and several keys of any kind in one file', async t => {
  const mixed = write('mixed', `# created: today\r\n\r\n  ${keys[0]}\r\n# second\n${keys[1]}\n${keys[2]}`);
  const identities = await load([mixed]);
  for (const [index, age] of files.entries()) {
    const value = await openSource({ vm: 'my-app', credential: 'API_KEY', source: { age } }, identities);
    t.equal(
      value.open(bytes => bytes.toString()),
      `value ${index}`,
    );
  }
  t.same(identities.notes, []);
});

t.test('reads no identity file before an age source needs one, and then each once', async t => {
  const identities = await load([at('later')]);
  await openSource({ vm: 'my-app', credential: 'CLUSTER', source: { text: 'x' } }, identities);
  write('later', `${keys[0]}\n`);
  await openSource({ vm: 'my-app', credential: 'API_KEY', source: { age: files[0] ?? '' } }, identities);
  write('later', 'no longer a key');
  await openSource({ vm: 'my-app', credential: 'API_KEY', source: { age: files[0] ?? '' } }, identities);
  t.same(identities.notes, []);
});

t.test('skips what is absent, empty, without a key or no regular file, and notes it', async t => {
  execFileSync('mkfifo', [at('fifo')]);
  const paths = [
    at('absent'),
    write('empty', ''),
    write('comments', '# none\n'),
    at('fifo'),
    write('k', `${keys[0]}`),
  ];
  const identities = await load(paths);
  t.equal((await identities.list()).length, 1);
  t.same(identities.notes, [
    `${at('absent')} does not exist`,
    `${at('empty')} is empty`,
    `${at('comments')} holds no identity`,
    `${at('fifo')} is skipped: it is not a regular file`,
  ]);
});

t.test('warns of a key file that everybody may read, and takes it', async t => {
  const path = write('public', `${keys[0]}\n`);
  chmodSync(path, 0o644);
  const identities = await load([path]);
  t.equal((await identities.list()).length, 1);
  t.same(identities.notes, [`${path} is readable by everybody (chmod 600 it)`]);
});

const refused: [string, string, RegExp][] = [
  ['a line that is no identity', `${keys[0]}\nAGE-SECRET-KEY-1WRONG\n`, /line 2 is not an age identity/],
  [
    'a recipient',
    'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n',
    /line 1 is .*unknown kind \(AGE\)/,
  ],
  [
    'a damaged OpenSSH key',
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n-----END OPENSSH PRIVATE KEY-----\n',
    /damaged/,
  ],
  ['a damaged PEM', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /cannot be read/],
];
for (const [title, content, reason] of refused) {
  t.test(`refuses ${title} as identity file, naming the file and never its text`, async t => {
    const path = write('refused', content);
    const error = await load([path])
      .then(identities =>
        openSource({ vm: 'my-app', credential: 'API_KEY', source: { age: files[0] ?? '' } }, identities),
      )
      .catch(error => error);
    t.equal(error.code, 'secret_no_identity');
    t.match(error.message, `VM my-app: the identity file ${path} is refused: `);
    t.match(error.message, reason);
    for (const line of content.split('\n').filter(line => line.length > 3)) t.notMatch(error.message, line);
  });
}

t.test('SSH keys', { skip: whyNotOnPath('ssh-keygen') || whyNotOnPath('age') }, async t => {
  t.test('refuses a type that age does not know', async t => {
    makeSshKey(at('ecdsa'), ['-t', 'ecdsa']);
    const identities = await load([at('ecdsa')]);
    await t.rejects(identities.list(), { message: /age knows no SSH keys of type ecdsa-sha2-nistp256/ });
  });

  t.test('names the key that is encrypted, and passphraseFiles, when no passphrase opens it', async t => {
    makeSshKey(at('locked'), ['-t', 'ed25519', '-a', '1'], 'right');
    execFileSync('age', ['-R', at('locked.pub'), '-o', at('locked.age'), files[0] ?? '']);
    const wrong = write('wrong', 'wrong\n');
    for (const passphraseFiles of [[], [wrong]]) {
      const identities = await load([at('locked')], passphraseFiles);
      const error = await openSource(
        { vm: 'my-app', credential: 'API_KEY', source: { age: at('locked.age') } },
        identities,
      ).catch(e => e);
      t.equal(error.code, 'secret_no_identity');
      t.match(error.message, `the key for it, ${at('locked')}, is encrypted and no passphrase opens it`);
      t.match(error.message, /"passphraseFiles"/);
    }
  });

  t.test('a locked key beside one that opens the file is no error', async t => {
    makeSshKey(at('other-locked'), ['-t', 'ed25519', '-a', '1'], 'right');
    makeSshKey(at('open'), ['-t', 'ed25519']);
    const recipients = ['-R', at('other-locked.pub'), '-R', at('open.pub')];
    execFileSync('age', [...recipients, '-o', at('both.age')], { input: 'both' });
    const identities = await load([at('other-locked'), at('open')]);
    const value = await openSource(
      { vm: 'my-app', credential: 'API_KEY', source: { age: at('both.age') } },
      identities,
    );
    t.equal(
      value.open(bytes => bytes.toString()),
      'both',
    );
  });
});

t.test('asks for a passphrase file where an age file has a passphrase', async t => {
  const encrypter = new Encrypter();
  encrypter.setScryptWorkFactor(2);
  encrypter.setPassphrase('right');
  writeFileSync(at('passphrase.age'), await encrypter.encrypt('x'));
  const identities = await load([], [write('other-passphrase', 'wrong')]);
  const error = await openSource(
    { vm: 'my-app', credential: 'API_KEY', source: { age: at('passphrase.age') } },
    identities,
  ).catch(e => e);
  t.equal(error.code, 'secret_no_identity');
  t.match(error.message, /encrypted with a passphrase, and none at hand fits.*"passphraseFiles"/);
});
