// Every kind of identity opens every kind of file that is encrypted to it, and none that is not. The files come from the
// real `age` wherever it knows the kind.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { armor, Encrypter, generateHybridIdentity, identityToRecipient } from 'age-encryption';
import t from 'tap';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import {
  encryptWithAge,
  encryptWithPassphrase,
  makeSshKey,
  PLUGIN_FOLDER,
  whyNoAge,
} from '../setup/age-program.js';
import { encodeBech32 } from '../setup/encode-bech32.js';
import { whyNotOnPath } from '../setup/programs.js';

const whyNot = whyNoAge();
if (whyNot !== false) {
  t.pass(`SKIP the table of identity kinds: ${whyNot}`, { skip: whyNot });
  t.end();
  process.exit();
}

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
const PASSPHRASE = 'correct horse';
writeFileSync(at('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
writeFileSync(at('wrong-passphrase'), 'wrong\n', { mode: 0o600 });

interface Kind {
  paths: string[];
  encrypt(plaintext: Buffer, args: string[]): Buffer | Promise<Buffer>;
}

function sshKind(name: string, args: string[], passphrase = ''): Kind {
  makeSshKey(at(name), args, passphrase);
  return { paths: [at(name)], encrypt: encryptTo('-R', at(`${name}.pub`)) };
}

function pemKind(name: string): Kind {
  const kind = sshKind(name, ['-t', 'rsa', '-b', '2048', '-m', 'PEM']);
  t.match(readFileSync(at(name), 'utf8'), /BEGIN RSA PRIVATE KEY/);
  return kind;
}

function encryptTo(...recipient: string[]): Kind['encrypt'] {
  return (plaintext, args) => encryptWithAge(plaintext, [...args, ...recipient]);
}

/** What our `age` is too old for or wants a terminal for; by the age-encryption package. */
function encryptByPackage(set: (encrypter: Encrypter) => void): Kind['encrypt'] {
  return async (plaintext, args) => {
    const encrypter = new Encrypter();
    set(encrypter);
    const file = await encrypter.encrypt(plaintext);
    return Buffer.from(args.includes('-a') ? armor.encode(file) : file);
  };
}

function nativeKind(): Kind {
  const output = execFileSync('age-keygen', ['-o', at('native')], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.equal(output.length, 0);
  return {
    paths: [at('native')],
    encrypt: encryptTo('-r', /age1\w+/.exec(readFileSync(at('native'), 'utf8'))?.[0] ?? ''),
  };
}

async function postQuantumKind(): Promise<Kind> {
  const identity = await generateHybridIdentity();
  writeFileSync(at('pq'), `${identity}\n`, { mode: 0o600 });
  const recipient = await identityToRecipient(identity);
  return { paths: [at('pq')], encrypt: encryptByPackage(encrypter => encrypter.addRecipient(recipient)) };
}

function pluginKind(): Kind {
  const data = Buffer.from('opens');
  writeFileSync(at('plugin'), `${encodeBech32('age-plugin-fixture-', data).toUpperCase()}\n`, {
    mode: 0o600,
  });
  return { paths: [at('plugin')], encrypt: encryptTo('-r', encodeBech32('age1fixture', data)) };
}

const native = nativeKind();
const kinds: Record<string, Kind> = {
  'native X25519': native,
  'post-quantum hybrid': await postQuantumKind(),
  'ssh-ed25519': sshKind('ed25519', ['-t', 'ed25519']),
  'ssh-ed25519 with a passphrase': sshKind('ed25519-locked', ['-t', 'ed25519', '-a', '1'], PASSPHRASE),
  'ssh-ed25519 with a passphrase, CBC': sshKind(
    'cbc',
    ['-t', 'ed25519', '-a', '1', '-Z', 'aes256-cbc'],
    PASSPHRASE,
  ),
  'ssh-rsa': sshKind('rsa', ['-t', 'rsa', '-b', '2048']),
  'ssh-rsa of 3072 bits with a passphrase': sshKind(
    'rsa-locked',
    ['-t', 'rsa', '-b', '3072', '-a', '1'],
    PASSPHRASE,
  ),
  'ssh-rsa in PEM': pemKind('rsa-pem'),
  passphrase: {
    paths: [],
    encrypt: encryptByPackage(encrypter => {
      encrypter.setScryptWorkFactor(8);
      encrypter.setPassphrase(PASSPHRASE);
    }),
  },
  plugin: pluginKind(),
};

const plaintexts = {
  'a line': Buffer.from('hello\n'),
  nothing: Buffer.alloc(0),
  'exactly one chunk': Buffer.alloc(64 * 1024, 0xa5),
  'a chunk and a byte': Buffer.alloc(64 * 1024 + 1, 0x5a),
};

async function open(
  file: Buffer,
  paths: readonly string[],
  passphraseFiles: readonly string[] = [at('wrong-passphrase'), at('passphrase')],
): Promise<Buffer> {
  writeFileSync(at('file.age'), file);
  const identities = await loadIdentities(
    { vm: 'my-app', paths, passphraseFiles },
    { searchPath: `${PLUGIN_FOLDER}:${process.env.PATH}`, timeoutMs: 20_000 },
  );
  try {
    const value = await openSource(
      { vm: 'my-app', credential: 'API_KEY', source: { age: at('file.age') } },
      identities,
    );
    return value.open(bytes => Buffer.from(bytes));
  } finally {
    identities.wipe();
  }
}

for (const [name, kind] of Object.entries(kinds)) {
  t.test(`${name} opens what is encrypted to it`, async t => {
    for (const [content, plaintext] of Object.entries(plaintexts)) {
      for (const args of [[], ['-a']]) {
        const file = await kind.encrypt(plaintext, args);
        t.same(await open(file, kind.paths), plaintext, `${content}, ${args[0] ? 'armored' : 'binary'}`);
      }
    }
  });

  t.test(`${name} opens armor with CRLF line ends and blank lines around it`, async t => {
    const armored = (await kind.encrypt(Buffer.from('x'), ['-a'])).toString();
    t.same(
      await open(Buffer.from(`\n\n${armored.replaceAll('\n', '\r\n')}\n`), kind.paths),
      Buffer.from('x'),
    );
  });

  if (name === 'passphrase') continue;
  t.test(`${name} does not open what is encrypted to others, and is named`, async t => {
    const other = kind === native ? kinds['ssh-rsa'] : native;
    const file = await other?.encrypt(Buffer.from('hello'), []);
    const error = await open(file ?? Buffer.alloc(0), kind.paths).catch(error => error);
    t.equal(error.code, 'secret_no_identity');
    t.match(error.message, `Its recipients: ${kind === native ? 'ssh-rsa' : 'X25519'}.`);
    t.match(error.message, `Tried: `);
    for (const path of kind.paths) t.match(error.message, path);
  });
}

t.test('any of many recipients opens a file of them all', async t => {
  const recipients = ['ed25519', 'rsa', 'ed25519-locked'].flatMap(name => ['-R', at(`${name}.pub`)]);
  const file = await native.encrypt(Buffer.from('shared'), recipients);
  for (const name of ['native', 'ed25519', 'rsa', 'ed25519-locked']) {
    t.same(await open(file, [at(name)]), Buffer.from('shared'), name);
  }
});

t.test('a file of all keys together opens each kind', async t => {
  const paths = Object.values(kinds).flatMap(kind => kind.paths);
  for (const [name, kind] of Object.entries(kinds)) {
    t.same(await open(await kind.encrypt(Buffer.from(name), []), paths), Buffer.from(name), name);
  }
});

t.test('opens what `age -p` made', { skip: whyNotOnPath('script') }, async t => {
  writeFileSync(at('plain'), 'by passphrase');
  const file = encryptWithPassphrase(at('plain'), PASSPHRASE);
  t.same(await open(file, [], [at('passphrase')]), Buffer.from('by passphrase'));
});

t.test('reads an identity file that `age -p` encrypted', { skip: whyNotOnPath('script') }, async t => {
  writeFileSync(at('native-locked'), encryptWithPassphrase(at('native'), PASSPHRASE), { mode: 0o600 });
  const file = await native.encrypt(Buffer.from('x'), []);
  t.same(await open(file, [at('native-locked')], [at('passphrase')]), Buffer.from('x'));
});

t.test(
  'the real age and the test plugin understand each other, so that its files are worth something',
  async t => {
    writeFileSync(at('plugin.age'), (await kinds.plugin?.encrypt(Buffer.from('hi'), [])) ?? '');
    const env = { ...process.env, PATH: `${PLUGIN_FOLDER}:${process.env.PATH}` };
    t.same(execFileSync('age', ['-d', '-i', at('plugin'), at('plugin.age')], { env }), Buffer.from('hi'));
  },
);
