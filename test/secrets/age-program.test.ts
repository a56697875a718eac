// Files made by the real age and keys made by the real ssh-keygen: identity kinds by file kinds, each opened.

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';

const missing = ['age', 'age-keygen', 'ssh-keygen', 'script'].find(
  program => spawnSync('which', [program]).status !== 0,
);
if (missing !== undefined) {
  t.plan(0, `${missing} is not installed`);
  process.exit(0);
}

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
const PLAINTEXT = Buffer.from([0, 10, 255, 0, 13, 10]);
const PASSPHRASE = 'correct horse';

const sshKey = (name: string, ...options: string[]) => {
  execFileSync('ssh-keygen', ['-q', '-C', '', '-f', at(name), ...options]);
  return name;
};

execFileSync('age-keygen', ['-o', at('native')], { stdio: 'ignore' });
writeFileSync(at('native.pub'), execFileSync('age-keygen', ['-y', at('native')]));
const kinds = [
  'native',
  sshKey('ed25519', '-t', 'ed25519', '-N', ''),
  sshKey('rsa', '-t', 'rsa', '-b', '2048', '-N', ''),
  sshKey('rsa-pem', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', ''),
  sshKey('ed25519-locked', '-t', 'ed25519', '-N', PASSPHRASE),
  sshKey('rsa-locked', '-t', 'rsa', '-b', '2048', '-N', PASSPHRASE),
  sshKey('ed25519-cbc', '-t', 'ed25519', '-Z', 'aes256-cbc', '-N', PASSPHRASE),
];
writeFileSync(at('pass'), `${PASSPHRASE}\n`, { mode: 0o600 });
writeFileSync(at('plain'), PLAINTEXT);

async function open(age: string, paths: string[], passphraseFiles: string[] = []): Promise<Buffer> {
  const identities = await loadIdentities({ vm: 'vm', paths, passphraseFiles });
  const value = await openSource('vm', 'KEY', { age }, identities);
  return value.open(bytes => Buffer.from(bytes));
}

for (const kind of kinds) {
  for (const armor of [[], ['-a']]) {
    const file = at(`${kind}${armor.length}.age`);
    execFileSync('age', [...armor, '-R', at(`${kind}.pub`), '-o', file, at('plain')]);
    t.test(`opens a file for ${kind} ${armor.join('')}`, async t => {
      t.same(await open(file, [at(kind)], [at('pass')]), PLAINTEXT);
      t.same(await open(file, [at('absent'), ...kinds.map(at)], [at('pass')]), PLAINTEXT, 'among others');
    });
  }
}

t.test('an encrypted SSH key without its passphrase names the setting', async t => {
  for (const kind of ['ed25519-locked', 'rsa-locked']) {
    await t.rejects(open(at(`${kind}0.age`), [at(kind)]), {
      code: 'secret_no_identity',
      message: /passphraseFiles/,
    });
  }
});

t.test('a file for an RSA key is refused by an Ed25519 one, naming both', async t => {
  await t.rejects(open(at('rsa0.age'), [at('ed25519')]), {
    code: 'secret_no_identity',
    message: /Its recipients: ssh-rsa\. Tried: .*\(ssh-ed25519\)/,
  });
});

t.test('refuses each real file that is one byte short', async t => {
  for (const kind of kinds) {
    const whole = readFileSync(at(`${kind}0.age`));
    writeFileSync(at('short.age'), whole.subarray(0, -1));
    await t.rejects(open(at('short.age'), [at(kind)], [at('pass')]), { code: 'secret_corrupt' });
  }
});

t.test('opens what age -p made, with the passphrase file', async t => {
  const file = at('p.age');
  execFileSync('script', ['-qec', `age -p -o ${file} ${at('plain')}`, '/dev/null'], {
    input: `${PASSPHRASE}\n${PASSPHRASE}\n`,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  t.same(await open(file, [], [at('pass')]), PLAINTEXT);
  writeFileSync(at('wrong'), 'wrong', { mode: 0o600 });
  await t.rejects(open(file, [], [at('wrong')]), { code: 'secret_no_identity', message: /scrypt/ });
});

/** A plugin for the test: its "key" is a native one, so it hands file keys out as `reply` says. */
function plugin(name: string, script: string): void {
  writeFileSync(at(`age-plugin-${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(at(`age-plugin-${name}`), 0o755);
}
// bech32 of an empty payload for AGE-PLUGIN-<NAME>- with its checksum, computed as BIP 173 says.
function pluginIdentity(name: string): string {
  const A = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
  const hrp = `age-plugin-${name}-`;
  const G = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let c = 1;
  const add = (v: number) => {
    const top = c >>> 25;
    c = ((c & 0x1ffffff) << 5) ^ v;
    G.forEach((g, i) => {
      if ((top >>> i) & 1) c ^= g;
    });
  };
  for (const x of hrp) add(x.charCodeAt(0) >>> 5);
  add(0);
  for (const x of hrp) add(x.charCodeAt(0) & 31);
  for (let i = 0; i < 6; i++) add(0);
  c ^= 1;
  const sum = [25, 20, 15, 10, 5, 0].map(shift => A[(c >>> shift) & 31]).join('');
  return `${hrp}1${sum}`.toUpperCase();
}
const READ_REQUEST = 'while read -r line; do [ "$line" = "-> done" ] && read -r _ && break; done';
const OUTCOMES: [string, string, RegExp][] = [
  [
    'says',
    `${READ_REQUEST}; printf -- '-> error internal\\n%s\\n' "$(printf 'no card' | base64 | tr -d =)"; read -r _; read -r _; printf -- '-> done\\n\\n'`,
    /age-plugin-says failed: no card/,
  ],
  [
    'asks',
    `${READ_REQUEST}; printf -- '-> request-secret\\nUElO\\n'; read -r a; read -r _; [ "$a" = "-> fail" ] || exit 9; printf -- '-> done\\n\\n'`,
    /age-plugin-asks failed: it asks: PIN/,
  ],
  ['dies', 'echo broken >&2; exit 3', /age-plugin-dies failed: .*(exit status 3).*broken/],
  ['hangs', 'exec sleep 100', /age-plugin-hangs failed: it did not finish within/],
  ['babbles', 'echo hello; exec sleep 100', /age-plugin-babbles failed: .*protocol/],
  ['none', `${READ_REQUEST}; printf -- '-> done\\n\\n'`, /encrypted to other keys/],
];
for (const [name, script, message] of [
  ...OUTCOMES,
  ['gone', '', /age-plugin-gone failed: it is in none/] as const,
]) {
  t.test(`plugin that ${name}`, async t => {
    if (script !== '') plugin(name, script);
    writeFileSync(at(`id-${name}`), `${pluginIdentity(name)}\n`, { mode: 0o600 });
    const settings = { searchPath: `${folder}:${process.env.PATH}`, timeoutMs: 2000 };
    const identities = await loadIdentities(
      { vm: 'vm', paths: [at(`id-${name}`)], passphraseFiles: [] },
      settings,
    );
    await t.rejects(openSource('vm', 'KEY', { age: at('native0.age') }, identities), {
      code: 'secret_no_identity',
      message,
    });
  });
}
