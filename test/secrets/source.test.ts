import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import t from 'tap';
import type { CredentialSource } from '../../src/definition/definition.js';
import { type ErrorCode, VmsecretdError } from '../../src/errors.js';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource, SOURCE_LIMIT_BYTES } from '../../src/secrets/source.js';

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
const keyPath = at('key');
const key = await generateX25519Identity();
writeFileSync(keyPath, `# a comment\n\n${key}\n`, { mode: 0o600 });
const encrypter = new Encrypter();
encrypter.addRecipient(await identityToRecipient(key));
const sealed = await encrypter.encrypt('hello\n');

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content);
  return at(name);
}

async function open(source: CredentialSource, identityPaths = [keyPath]): Promise<string> {
  const identities = await loadIdentities({ vm: 'my-app', paths: identityPaths, passphraseFiles: [] });
  const value = await openSource({ vm: 'my-app', credential: 'API_KEY', source }, identities);
  return value.open(bytes => bytes.toString('latin1'));
}

function refuses(title: string, source: CredentialSource, code: ErrorCode, message: RegExp, keys?: string[]) {
  t.test(`refuses ${title}`, async t => {
    const error = await open(source, keys).catch(error => error);
    t.type(error, VmsecretdError);
    t.equal(error.code, code);
    t.match(error.message, message);
    const path = source.age ?? source.file;
    t.match(error.message, `VM my-app, credential API_KEY: ${path} `);
    t.same(error.details, { vm: 'my-app', credential: 'API_KEY', path });
  });
}

t.test('opens an age file, a plain file through a link, and a text', async t => {
  t.equal(await open({ age: write('a.age', sealed) }), 'hello\n');
  write('plain', '\0\0\0');
  symlinkSync('plain', at('link'));
  t.equal(await open({ file: at('link') }), '\0\0\0');
  t.equal(await open({ file: write('empty', '') }), '');
  t.equal(await open({ text: 'cluster' }), 'cluster');
});

t.test('trims exactly one line ending, and only where it is told to', async t => {
  const age = write('trim.age', sealed);
  t.equal(await open({ age, trim: 'newline' }), 'hello');
  t.equal(await open({ age, trim: 'none' }), 'hello\n');
  t.equal(await open({ text: 'a\r\nb\r\n', trim: 'newline' }), 'a\r\nb');
  t.equal(await open({ text: 'a\n\n', trim: 'newline' }), 'a\n');
  t.equal(await open({ text: 'a\r', trim: 'newline' }), 'a\r');
  t.equal(await open({ text: '\n', trim: 'newline' }), '');
  t.equal(await open({ text: '', trim: 'newline' }), '');
});

t.test('opens an age file of the very limit', async t => {
  const plaintext = new Uint8Array(SOURCE_LIMIT_BYTES - 1000).fill(7);
  const file = await encrypter.encrypt(plaintext);
  t.equal((await open({ age: write('large.age', file) })).length, plaintext.length);
});

const otherKey = at('other-key');
writeFileSync(otherKey, `${await generateX25519Identity()}\n`, { mode: 0o600 });
const good = write('good.age', sealed);
const damaged = Uint8Array.from(sealed);
damaged[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
const headerDamaged = Buffer.from(sealed);
const macAt = sealed.indexOf(0x2d, 60) + 4;
headerDamaged.write(sealed[macAt] === 0x41 ? 'B' : 'A', macAt);
mkdirSync(at('folder'));
execFileSync('mkfifo', [at('fifo')]);

refuses('a file that does not exist', { age: at('none') }, 'secret_missing', /does not exist\. Create it/);
refuses('a plain file that does not exist', { file: at('none') }, 'secret_missing', /does not exist/);
symlinkSync('nowhere', at('dangling'));
symlinkSync('loop', at('loop'));
refuses(
  'a link that leads nowhere, naming where',
  { age: at('dangling') },
  'secret_missing',
  /leads by the link .*\/dangling to .*\/nowhere, which does not exist\. Create it/,
);
refuses(
  'a loop of links',
  { file: at('loop') },
  'secret_unreadable',
  /leads into a loop of links at .*\/loop\. Make the link lead to a file/,
);
refuses('a folder', { file: at('folder') }, 'secret_unreadable', /not a regular file/);
refuses('a FIFO, without waiting for it', { file: at('fifo') }, 'secret_unreadable', /not a regular file/);
refuses('a device', { file: '/dev/zero' }, 'secret_unreadable', /not a regular file/);
refuses(
  'a file beyond the limit',
  { file: write('big', new Uint8Array(SOURCE_LIMIT_BYTES + 1)) },
  'secret_too_large',
  /has 1048577 bytes, the limit is 1048576/,
);
refuses('a plain file as age file', { age: write('p', 'x') }, 'secret_corrupt', /not an age file.*"file"/);
refuses('an empty age file', { age: write('e', '') }, 'secret_corrupt', /it is empty/);
refuses('a damaged payload', { age: write('d', damaged) }, 'secret_corrupt', /payload is damaged/);
refuses('a damaged header', { age: write('h', headerDamaged) }, 'secret_corrupt', /header is damaged/);
refuses(
  'a short file',
  { age: write('s', sealed.subarray(0, -1)) },
  'secret_corrupt',
  /damaged or cut short/,
);
refuses('half a header', { age: write('hh', sealed.subarray(0, 40)) }, 'secret_corrupt', /does not end/);
refuses(
  'a file for another key, with its recipients and what was tried',
  { age: good },
  'secret_no_identity',
  /encrypted to other keys\. Its recipients: X25519\. Tried: .*other-key \(X25519\)\./,
  [otherKey],
);
refuses(
  'an age file when no identity exists, naming the paths',
  { age: good },
  'secret_no_identity',
  /there is no identity to try \(.*missing-key does not exist\)\. Its recipients: X25519\. Make one/,
  [at('missing-key')],
);
