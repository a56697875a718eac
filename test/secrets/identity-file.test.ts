// Identity files as operators have them: by age-keygen, ssh-keygen and openssl, joined, locked, converted, or the wrong ones.
import { type ExecFileSyncOptionsWithBufferEncoding, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import { encryptWithAge, makeSshKey, whyNoAge } from '../setup/age-program.js';
import { whyNotOnPath } from '../setup/programs.js';
import { sshToAge } from '../setup/ssh-to-age.js';

const whyNot = whyNoAge() || whyNotOnPath('openssl');
if (whyNot !== false) {
  t.pass(`SKIP identity files of real programs: ${whyNot}`, { skip: whyNot });
  t.end();
  process.exit();
}

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
const write = (name: string, content: string | Buffer) => {
  writeFileSync(at(name), content, { mode: 0o600 });
  return at(name);
};
const read = (name: string) => readFileSync(at(name), 'utf8');
const quietly: ExecFileSyncOptionsWithBufferEncoding = { stdio: ['ignore', 'pipe', 'pipe'] };
const openssl = (...args: string[]) => execFileSync('openssl', args, quietly);
const PASSPHRASE = 'correct horse';
const passphraseFile = write('passphrase', `${PASSPHRASE}\n`);

execFileSync('age-keygen', ['-o', at('native')], quietly);
const native = /age1\w+/.exec(read('native'))?.[0] ?? '';
makeSshKey(at('ed25519'), ['-t', 'ed25519']);
makeSshKey(at('rsa'), ['-t', 'rsa', '-b', '2048']);

/** Of several keys, the file that is encrypted to the recipient. */
const sealed = (...recipient: string[]) => encryptWithAge(Buffer.from('the value'), recipient);
const forNative = sealed('-r', native);

interface Opened {
  value?: string;
  code?: string;
  message?: string;
  notes: readonly string[];
}

async function open(file: Buffer, paths: string[], passphraseFiles: string[] = []): Promise<Opened> {
  const age = write('file.age', file);
  const identities = await loadIdentities({ vm: 'web', paths, passphraseFiles });
  try {
    const value = await openSource({ vm: 'web', credential: 'A', source: { age } }, identities);
    return { value: value.open(bytes => bytes.toString()), notes: identities.notes };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message, notes: identities.notes };
  }
}

t.test('every key of a file is used, whichever way native and SSH keys were joined', async t => {
  const files = {
    native: forNative,
    ed25519: sealed('-R', at('ed25519.pub')),
    rsa: sealed('-R', at('rsa.pub')),
  };
  const orders = [
    ['native', 'ed25519'],
    ['ed25519', 'native'],
    ['ed25519', 'rsa'],
    ['rsa', 'native', 'ed25519'],
  ] as const;
  for (const order of orders) {
    const joined = write('joined', order.map(read).join(''));
    for (const name of order)
      t.match(await open(files[name], [joined]), { value: 'the value', notes: [] }, `${order} ${name}`);
  }
});

t.test('a comment may say anything, as age takes it', async t => {
  const comments = ['# was: -----BEGIN OPENSSH PRIVATE KEY-----', '# -----BEGIN PRIVATE KEY-----\n#'];
  for (const comment of comments) {
    const path = write('commented', `${comment}\n${read('native')}`);
    t.equal(execFileSync('age', ['-d', '-i', path], { input: forNative }).toString(), 'the value');
    t.match(await open(forNative, [path]), { value: 'the value', notes: [] });
  }
});

/** A key of openssl's, and the public half as age takes it. */
function opensslEd25519(name: string): string[] {
  openssl('genpkey', '-algorithm', 'ed25519', '-out', at(name));
  const der = openssl('pkey', '-in', at(name), '-pubout', '-outform', 'DER');
  const string = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const wire = Buffer.concat([string(Buffer.from('ssh-ed25519')), string(der.subarray(-32))]);
  write(`${name}.pub`, `ssh-ed25519 ${wire.toString('base64')}\n`);
  return ['-R', at(`${name}.pub`)];
}

t.test('Ed25519 in PKCS#8 opens what age opens with it, encrypted or not', async t => {
  const file = sealed(...opensslEd25519('pkcs8'));
  t.equal(execFileSync('age', ['-d', '-i', at('pkcs8')], { input: file }).toString(), 'the value');
  t.match(await open(file, [at('pkcs8')]), { value: 'the value', notes: [] });
  const encrypt = ['-topk8', '-v2', 'aes-256-cbc', '-passout', `pass:${PASSPHRASE}`];
  openssl('pkcs8', '-in', at('pkcs8'), ...encrypt, '-out', at('pkcs8-locked'));
  t.match(await open(file, [at('pkcs8-locked')], [passphraseFile]), { value: 'the value' });
  t.match(await open(sealed('-r', sshToAge(at('pkcs8.pub'))), [at('pkcs8')]), { value: 'the value' });
});

function unusable(): Record<string, { path: string; why: RegExp }> {
  makeSshKey(at('pem-rsa'), ['-t', 'rsa', '-b', '2048', '-m', 'PEM'], 'other');
  makeSshKey(at('ecdsa'), ['-t', 'ecdsa']);
  makeSshKey(at('ecdsa-pem'), ['-t', 'ecdsa', '-m', 'PEM']);
  opensslEd25519('for-locked');
  const passout = ['-passout', 'pass:other'];
  openssl('pkcs8', '-in', at('for-locked'), '-topk8', '-scrypt', ...passout, '-out', at('pkcs8-other'));
  openssl('genpkey', '-algorithm', 'x25519', '-out', at('x25519'));
  const [first = '', ...rest] = read('ed25519').split('\n');
  write('cut', [first, rest[0]].join('\n'));
  write('changed', [first, `AAAA${rest[0]?.slice(4)}`, ...rest.slice(1)].join('\n'));
  write('cut-pem', openssl('genrsa', '-traditional', '2048').subarray(0, 900));
  return {
    'a locked PEM-RSA key': { path: at('pem-rsa'), why: /is encrypted and no passphrase opens it/ },
    'a locked PKCS#8 key': { path: at('pkcs8-other'), why: /is encrypted and no passphrase opens it/ },
    'an ECDSA key': { path: at('ecdsa'), why: /age knows no SSH keys of type ecdsa/ },
    'an ECDSA key in PEM': {
      path: at('ecdsa-pem'),
      why: /age knows RSA and Ed25519 keys, and this one is ec/,
    },
    'an X25519 key in PEM': { path: at('x25519'), why: /this one is x25519/ },
    'a key that is cut short': { path: at('cut'), why: /it is cut short: no line "-----END OPENSSH/ },
    'a PEM that is cut short': { path: at('cut-pem'), why: /it is cut short: no line "-----END RSA/ },
    'a damaged key': { path: at('changed'), why: /damaged OpenSSH key/ },
    'a public key': { path: at('ed25519.pub'), why: /that is a public key/ },
  };
}

for (const [title, { path, why }] of Object.entries(unusable())) {
  t.test(`${title} matters only when nothing else opens the file, and is named then`, async t => {
    for (const paths of [
      [path, at('native')],
      [at('native'), path],
    ]) {
      const { value, notes } = await open(forNative, paths, [passphraseFile]);
      t.equal(value, 'the value');
      t.match(notes.join(), why, 'check warns of it');
      t.match(notes.join(), path);
    }
    const forOthers = sealed('-R', at('rsa.pub'));
    for (const paths of [[path], [at('native'), path]]) {
      const { code, message } = await open(forOthers, paths);
      t.equal(code, 'secret_no_identity');
      t.match(message, why);
      t.match(message, path);
      if (!/no passphrase opens it/.test(`${why}`)) t.notMatch(message, /encrypted and|is encrypted;/);
    }
  });
}

t.test('beside a key of no use in one file, the others are used', async t => {
  for (const name of ['ecdsa', 'pem-rsa']) {
    const path = write('joined', `${read(name)}${read('native')}`);
    const { value, notes } = await open(forNative, [path]);
    t.equal(value, 'the value');
    t.match(notes, [new RegExp(`^${path} is refused: `)]);
  }
});

for (const cipher of ['aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', '3des-cbc']) {
  t.test(`an SSH key that is locked with ${cipher} matters only when a file is for it`, async t => {
    makeSshKey(at(`it's ${cipher}`), ['-t', 'ed25519', '-a', '1', '-Z', cipher], PASSPHRASE);
    const path = at(`it's ${cipher}`);
    t.match(await open(forNative, [path, at('native')], [passphraseFile]), { value: 'the value' });
    const { code, message } = await open(sealed('-R', `${path}.pub`), [path, at('native')], [passphraseFile]);
    t.equal(code, 'secret_no_identity');
    t.match(message, `is encrypted with ${cipher}`);
    const quoted = `'${path.replace("'", "'\\''")}'`;
    t.match(message, `ssh-keygen -p -Z aes256-ctr -f ${quoted}`, 'the fix is safe to paste');
  });
}

t.test('a key of the host opens what is encrypted to the age1… that ssh-to-age makes of it', async t => {
  for (const name of ['ed25519', 'second']) {
    if (name === 'second') makeSshKey(at(name), ['-t', 'ed25519']);
    const recipient = sshToAge(at(`${name}.pub`));
    const [binary, armored] = [sealed('-r', recipient), sealed('-a', '-r', recipient)];
    for (const file of [binary, armored])
      t.match(await open(file, [at('rsa'), at('native'), at(name)]), { value: 'the value', notes: [] });
    const { code, message } = await open(binary, [at('native')]);
    t.equal(code, 'secret_no_identity', 'and no other key does');
    t.match(message, 'encrypted to other keys');
  }
});

t.test('so does a key that is locked, with its passphrase; without it, it is named', async t => {
  makeSshKey(at('locked'), ['-t', 'ed25519', '-a', '1'], PASSPHRASE);
  const file = sealed('-r', sshToAge(at('locked.pub')));
  t.match(await open(file, [at('locked')], [passphraseFile]), { value: 'the value' });
  const { code, message } = await open(file, [at('locked'), at('native')]);
  t.equal(code, 'secret_no_identity');
  t.match(message, `${at('locked')}, is encrypted and no passphrase opens it`);
  t.match(message, '"passphraseFiles"');
  t.match(await open(forNative, [at('locked'), at('native')]), { value: 'the value' });
});

const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le');
const refused: [title: string, content: () => string | Buffer, why: RegExp][] = [
  ['age1…', () => native, /line 1 .*: that is a public key/],
  ['age1… with a slip', () => `# me\n${native.slice(0, -1)}q`, /line 2 .*: that is a public key/],
  [
    'a recipient of a plugin',
    () => 'age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t',
    /that is a public key/,
  ],
  ['id_rsa.pub', () => read('rsa.pub'), /line 1 .*: that is a public key/],
  ['known_hosts', () => `example.org,192.0.2.1 ${read('ed25519.pub')}`, /that is a public key/],
  ['a public key in PEM', () => openssl('pkey', '-in', at('x25519'), '-pubout'), /that is a public key/],
  [
    'a public key of ssh-keygen -e',
    () => execFileSync('ssh-keygen', ['-e', '-f', at('rsa.pub')]),
    /that is a public key/,
  ],
  ['a BOM', () => `\ufeff${read('native')}`, /begins with a byte order mark \(BOM\)/],
  ['UTF-16', () => utf16(read('native')), /UTF-16.* iconv -f UTF-16 -t UTF-8/],
  ['UTF-16, big endian', () => utf16(read('native')).swap16(), /UTF-16/],
  ['UTF-16 without a BOM', () => utf16(read('native')).subarray(2), /UTF-16/],
  [
    'a PuTTY key',
    () => 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n',
    /line 1 begins a PuTTY key/,
  ],
];
for (const [title, content, why] of refused) {
  t.test(`${title} as identity file is named`, async t => {
    const text = content();
    const { code, message } = await open(forNative, [write('refused', text)]);
    t.equal(code, 'secret_no_identity');
    t.match(message, `VM web: the identity file ${at('refused')} is refused: `);
    t.match(message, why);
    for (const line of text
      .toString('latin1')
      .split('\n')
      .filter(line => line.length > 8))
      t.notMatch(message, line, 'its text is not');
  });
}
