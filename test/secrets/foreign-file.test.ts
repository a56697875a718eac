// What operators name as "age" and is none: the error says what it is and what to do, and never "file" for ciphertext.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { armor, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import t from 'tap';
import { identifyEncryptedFile } from '../../src/secrets/foreign-file.js';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import { whyNotOnPath } from '../setup/programs.js';

const folder = t.testdir({ gnupg: {} });
const at = (name: string) => join(folder, name);
const write = (name: string, content: string | Buffer) => {
  writeFileSync(at(name), content, { mode: 0o600 });
  return at(name);
};
// A file: a program that does not read its input would break a pipe.
function run(program: string, args: string[], input: string | Buffer = 'the value'): Buffer {
  const stdin = openSync(write('stdin', input), 'r');
  try {
    return execFileSync(program, args, {
      stdio: [stdin, 'pipe', 'ignore'],
      env: { ...process.env, GNUPGHOME: at('gnupg') },
    });
  } finally {
    closeSync(stdin);
  }
}

const key = await generateX25519Identity();
const encrypter = new Encrypter();
encrypter.addRecipient(await identityToRecipient(key));
const sealed = Buffer.from(await encrypter.encrypt(Buffer.alloc(200, 1)));
const armored = armor.encode(sealed);
const identityPath = write('key', key);

async function refusal(content: string | Buffer): Promise<{ code: string; message: string }> {
  const identities = await loadIdentities({ vm: 'web', paths: [identityPath], passphraseFiles: [] });
  const source = { age: write('source', content) };
  return openSource({ vm: 'web', credential: 'A', source }, identities).then(
    () => ({ code: 'opened', message: '' }),
    error => error,
  );
}

function gpg(...args: string[]): Buffer {
  const unattended = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', 'x'];
  return run('gpg', [...unattended, '--trust-model', 'always', ...args]);
}

function gpgKey(algorithm: string, subkey: string): string {
  const id = `${algorithm}@example.org`;
  gpg('--quick-generate-key', id, algorithm);
  const [, fingerprint = ''] = /^fpr:+([0-9A-F]+):/m.exec(gpg('--with-colons', '-k', id).toString()) ?? [];
  gpg('--quick-add-key', fingerprint, subkey, 'encr');
  return id;
}

interface Case {
  whyNot?: string | false;
  content(): string | Buffer;
  what: RegExp;
  advice: RegExp;
}

const noGpg = whyNotOnPath('gpg');
if (noGpg === false)
  t.teardown(() =>
    spawnSync('gpgconf', ['--kill', 'all'], { env: { ...process.env, GNUPGHOME: at('gnupg') } }),
  );
const cases: Record<string, Case> = {
  'sops, YAML': {
    content: () => 'API_KEY: ENC[AES256_GCM,data:p673w==,iv:YY=,tag:UQ=,type:str]\nsops:\n    kms: []\n',
    what: /sops file/,
    advice: /Name it as "sops", and say which value: \{"sops": "FILE", "key": "NAME"\}/,
  },
  'sops, JSON': {
    content: () => '{\n\t"data": "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]",\n\t"sops": {"age": []}\n}',
    what: /sops file/,
    advice: /Name it as "sops"/,
  },
  'sops, dotenv': {
    content: () => 'A=ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]\nsops_version=3.9.0\n',
    what: /sops file/,
    advice: /Name it as "sops"/,
  },
  'systemd-creds': {
    whyNot: whyNotOnPath('systemd-creds'),
    content: () => run('systemd-creds', ['encrypt', '--with-key=tpm2-absent', '--name=x', '-', '-']),
    what: /systemd-creds/,
    advice: /Name it as "systemdCredential"/,
  },
  'systemd-creds, decoded': {
    whyNot: whyNotOnPath('systemd-creds'),
    content: () =>
      Buffer.from(
        run('systemd-creds', ['encrypt', '--with-key=tpm2-absent', '--name=x', '-', '-']).toString(),
        'base64',
      ),
    what: /systemd-creds/,
    advice: /Name it as "systemdCredential"/,
  },
  'a pointer of git-lfs': {
    content: () => 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n',
    what: /pointer of git-lfs/,
    advice: /git lfs pull/,
  },
  'a pointer of git-annex': {
    content: () => '/annex/objects/SHA256E-s3--abc.age\n',
    what: /pointer of git-annex/,
    advice: /git annex get/,
  },
  'git-crypt': {
    content: () => Buffer.from('\0GITCRYPT\0abcdefghijklmnop', 'latin1'),
    what: /git-crypt/,
    advice: /git-crypt unlock/,
  },
  'PGP, armored': { whyNot: noGpg, content: () => gpg('-c', '-a'), what: /PGP/, advice: /gpg -d/ },
  'PGP, passphrase': { whyNot: noGpg, content: () => gpg('-c'), what: /PGP/, advice: /gpg -d/ },
  'PGP, RSA': {
    whyNot: noGpg,
    content: () => gpg('-e', '-r', gpgKey('rsa2048', 'rsa2048')),
    what: /PGP/,
    advice: /gpg -d/,
  },
  'PGP, Curve25519': {
    whyNot: noGpg,
    content: () => gpg('-e', '-r', gpgKey('ed25519', 'cv25519')),
    what: /PGP/,
    advice: /gpg -d/,
  },
  'ansible-vault': {
    content: () => '$ANSIBLE_VAULT;1.1;AES256\n62313365396662343061393464336163\n',
    what: /ansible-vault/,
    advice: /ansible-vault decrypt/,
  },
  'openssl enc': {
    whyNot: whyNotOnPath('openssl'),
    content: () => run('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-k', 'x']),
    what: /openssl enc/,
    advice: /openssl enc -d/,
  },
  'openssl enc -a': {
    whyNot: whyNotOnPath('openssl'),
    content: () => run('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-a', '-k', 'x']),
    what: /openssl enc/,
    advice: /openssl enc -d/,
  },
  'an age file in base64': {
    content: () => sealed.toString('base64'),
    what: /age file in base64/,
    advice: /base64 -d/,
  },
  'an age file with CRLF by git': {
    content: () => Buffer.from(sealed.toString('latin1').replaceAll('\n', '\r\n'), 'latin1'),
    what: /line ends were changed to CRLF/,
    advice: /\.gitattributes/,
  },
};

for (const [title, { whyNot = false, content, what, advice }] of Object.entries(cases)) {
  t.test(`${title}, named as "age", is told by its first bytes`, { skip: whyNot }, async t => {
    const bytes = Buffer.from(content());
    const { code, message } = await refusal(bytes);
    t.equal(code, 'secret_corrupt');
    t.match(message, /it is not an age file: it/);
    t.match(message, what);
    t.match(message, advice);
    t.notMatch(message, '"file"', 'a guest would get ciphertext');
    t.match(identifyEncryptedFile(bytes)?.what, what, 'and looks encrypted where it is named as "file"');
  });
}

const texts: [title: string, content: string | Buffer, message: RegExp][] = [
  [
    'a BOM before armor',
    `\ufeff${armored}`,
    /begins with a byte order mark \(BOM\)\. Save it as UTF-8 without one/,
  ],
  ['armor in UTF-16', Buffer.from(`\ufeff${armored}`, 'utf16le'), /UTF-16.*iconv/],
  ['armor in UTF-16 without a BOM', Buffer.from(armored, 'utf16le'), /UTF-16.*iconv/],
  ['a private key', key, /it is a private key\. Name it in "identities"/],
  ['a private key with comments', `# created: now\n# public key: age1\n${key}`, /it is a private key/],
  ['a key of SSH', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n', /it is a private key/],
  ['text', 'hunter2\n', /not an age file\. Encrypt it with age, or name it as "file" if/],
  [
    'bytes of no known kind',
    Buffer.from([0x91, 0, 0xff, 7, 9]),
    /not an age file\. Encrypt the value with age/,
  ],
];
for (const [title, content, expected] of texts) {
  t.test(`${title}, named as "age", is no age file`, async t => {
    const { code, message } = await refusal(content);
    t.equal(code, 'secret_corrupt');
    t.match(message, expected);
    t.equal(identifyEncryptedFile(Buffer.from(content)), undefined, 'and does not look encrypted');
    if (Buffer.isBuffer(content)) t.notMatch(message, '"file"');
  });
}

t.test('age files, named as "file", look encrypted', async t => {
  for (const content of [sealed, Buffer.from(armored), Buffer.from(`\n${armored}`)])
    t.match(identifyEncryptedFile(content), { what: 'it is an age file', advice: 'name it as "age"' });
});

t.test('what guests are given as it is does not look encrypted', async t => {
  const plain = [
    '',
    'x',
    'hunter2',
    '{"a": 1}',
    'sops',
    key,
    '-----BEGIN CERTIFICATE-----\nMIIB\n',
    'c2VjcmV0',
  ];
  for (const content of plain) t.equal(identifyEncryptedFile(Buffer.from(content)), undefined, content);
  for (let byte = 0; byte < 256; byte++)
    t.equal(identifyEncryptedFile(Buffer.alloc(32, byte)), undefined, `32 times ${byte}`);
});

const lines = armored.trimEnd().split('\n');
const edited = (edit: (lines: string[]) => unknown) => {
  const copy = [...lines];
  edit(copy);
  return copy.join('\n');
};
const damages: [title: string, content: string, why: RegExp][] = [
  ['a short line', edited(all => (all[2] = all[2]?.slice(4) ?? '')), /line 3 has 60 characters and not 64/],
  [
    'a long line',
    edited(all => all.splice(1, 2, `${all[1]}${all[2]}`)),
    /line 2 has 128 characters and not 64/,
  ],
  [
    'a strange character',
    edited(all => (all[1] = `*${all[1]?.slice(1)}`)),
    /line 2 has a character that is no base64/,
  ],
  ['an indented line', edited(all => (all[3] = `  ${all[3]}`)), /line 4 has blanks around it/],
  ['all lines indented', lines.map(line => `  ${line}`).join('\n'), /line 1 has blanks around it/],
  ['an empty line', edited(all => all.splice(2, 0, '')), /line 3 is empty/],
  ['text behind the end', `${armored}more\n`, /text behind line \d+, its end line/],
  ['text on the end line', `${armored.trimEnd()} more`, /line \d+ has more than "-----END AGE/],
  ['text on the first line', edited(all => (all[0] += ' x')), /line 1 has more than "-----BEGIN AGE/],
  [
    'headers as PEM has them',
    edited(all => all.splice(1, 0, 'Comment: x', '')),
    /line 2 has a character that is no/,
  ],
];
for (const [title, content, why] of damages) {
  t.test(`damaged armor says why: ${title}`, async t => {
    const { code, message } = await refusal(content);
    t.equal(code, 'secret_corrupt');
    t.match(message, /its armor is damaged: /);
    t.match(message, why);
    for (const line of content.split('\n').filter(line => !line.includes('-----') && line.length > 8))
      t.notMatch(message, line.trim());
  });
}
