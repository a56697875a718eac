// Age files, whole and damaged in every place. The vectors of the format's authors are in cctv.test.ts.

import { armor, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import t from 'tap';
import { AgeFileError } from '../../src/secrets/age-identity.js';
import { decryptAgeFile } from '../../src/secrets/decrypt.js';
import { parseIdentityFile } from '../../src/secrets/identity-file.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 20);
const CHUNK_BYTES = 64 * 1024;

const key = await generateX25519Identity();
const encrypter = new Encrypter();
encrypter.addRecipient(await identityToRecipient(key));
const context = { passphrases: [], plugins: { searchPath: '', timeoutMs: 1 } };
const identities = parseIdentityFile(Buffer.from(key), 'test', context);
const encrypt = async (plaintext: Uint8Array) => Buffer.from(await encrypter.encrypt(plaintext));

async function problemOf(file: Buffer): Promise<string> {
  const error = await decryptAgeFile(file, identities).catch(error => error);
  return error instanceof AgeFileError ? error.problem : `no AgeFileError: ${error}`;
}

t.test('gives back what was encrypted, binary or armored', async t => {
  const property = fc.asyncProperty(
    fc.uint8Array({ maxLength: 3 * CHUNK_BYTES, size: 'max' }),
    fc.boolean(),
    async (plaintext, isArmored) => {
      const binary = await encrypt(plaintext);
      const file = isArmored ? Buffer.from(armor.encode(binary)) : binary;
      const opened = await decryptAgeFile(file, identities);
      return opened.equals(plaintext);
    },
  );
  await fc.assert(property, { numRuns: ROUNDS });
  t.pass(`${ROUNDS} rounds`);
});

t.test('a file that ends early, wherever, is damaged', async t => {
  const file = await encrypt(Buffer.from('a secret'));
  for (let length = 0; length < file.length; length++) {
    t.match(
      await problemOf(file.subarray(0, length)),
      /^(not_age|header|truncated|payload)$/,
      `${length} bytes`,
    );
  }
});

t.test('a changed bit, wherever, is noticed', async t => {
  const file = await encrypt(Buffer.from('a secret'));
  for (let index = 0; index < file.length; index++) {
    const changed = Buffer.from(file);
    changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
    t.match(
      await problemOf(changed),
      /^(not_age|unsupported_version|header|header_mac|truncated|payload|no_match)$/,
    );
  }
});

t.test('a byte too many is noticed', async t => {
  t.equal(await problemOf(Buffer.concat([await encrypt(Buffer.from('x')), Buffer.from('\n')])), 'payload');
});

t.test('a file of several chunks that ends after a whole one is truncated', async t => {
  const file = await encrypt(Buffer.alloc(2 * CHUNK_BYTES + 10));
  const withoutLast = file.subarray(0, -(10 + 16));
  t.equal(await problemOf(withoutLast), 'truncated');
  t.equal(await problemOf(file.subarray(0, -1)), 'payload');
});

t.test('damage in an inner chunk names the chunk', async t => {
  const file = await encrypt(Buffer.alloc(3 * CHUNK_BYTES));
  const index = file.length - CHUNK_BYTES - 100;
  file[index] = (file[index] ?? 0) ^ 1;
  await t.rejects(decryptAgeFile(file, identities), { message: 'its payload is damaged in chunk 2' });
});

t.test('an armored file without its end line is truncated', async t => {
  const armored = armor.encode(await encrypt(Buffer.from('x')));
  t.equal(await problemOf(Buffer.from(armored.replace(/-----END.*\n/, ''))), 'truncated');
  t.equal(await problemOf(Buffer.from(armored.replace('YWdl', 'YW*l'))), 'armor');
});

t.test('1,024 recipients are tried, and a file with more is refused', async t => {
  const file = await encrypt(Buffer.from('a secret'));
  const lines = file.toString('latin1').split('\n');
  const withRecipients = (count: number) =>
    Buffer.from([lines[0], ...Array(count - 1).fill('-> other\n'), ...lines.slice(1)].join('\n'), 'latin1');
  t.equal(await problemOf(withRecipients(1_024)), 'header_mac');
  t.equal(await problemOf(withRecipients(1_025)), 'recipients');
});

t.test('a newer version of the format is told apart from damage', async t => {
  const file = await encrypt(Buffer.from('x'));
  t.equal(
    await problemOf(Buffer.from(file.toString('latin1').replace('/v1', '/v2'), 'latin1')),
    'unsupported_version',
  );
  t.equal(await problemOf(Buffer.from(file.toString('latin1').replace('/v1', '/vx'), 'latin1')), 'header');
  t.equal(await problemOf(Buffer.from('ssh-ed25519 AAAA\n')), 'not_age');
});
