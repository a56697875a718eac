// Every vector of C2SP's age test kit, with the very failure it expects.

import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import * as cctvAge from 'cctv-age';
import t from 'tap';
import { AgeFileError, type AgeFileProblem, type AgeIdentity } from '../../src/secrets/age-identity.js';
import { decryptAgeFile } from '../../src/secrets/decrypt.js';
import { parseIdentityFile } from '../../src/secrets/identity-file.js';
import { createScryptIdentity } from '../../src/secrets/scrypt.js';

// The package's types describe CommonJS; its file is an ES module with one export for each vector.
const vectors = cctvAge as unknown as Record<string, Uint8Array>;

const EXPECTED_PROBLEMS: Record<string, readonly AgeFileProblem[]> = {
  'no match': ['no_match', 'passphrase'],
  'HMAC failure': ['header_mac'],
  'header failure': ['header', 'not_age', 'truncated', 'work_factor'],
  'payload failure': ['payload', 'truncated'],
  'armor failure': ['armor', 'not_age', 'truncated', 'header'],
};

const CONTEXT = { passphrases: [], plugins: { searchPath: '', timeoutMs: 1 } };

interface Vector {
  fields: Map<string, string>;
  identities: AgeIdentity[];
  file: Buffer;
}

function parseVector(bytes: Buffer): Vector {
  const end = bytes.indexOf('\n\n');
  const fields = new Map<string, string>();
  const identities: AgeIdentity[] = [];
  for (const line of bytes.toString('latin1', 0, end).split('\n')) {
    const [key = '', value = ''] = line.split(/: (.*)/s);
    fields.set(key, value);
    if (key === 'identity') identities.push(...parseIdentityFile(Buffer.from(value), 'vector', CONTEXT));
    if (key === 'passphrase') identities.push(createScryptIdentity(Buffer.from(value), 'vector'));
  }
  const body = bytes.subarray(end + 2);
  return { fields, identities, file: fields.get('compressed') === 'zlib' ? inflateSync(body) : body };
}

const names = Object.keys(vectors);
t.ok(names.length > 100, `there are vectors (${names.length})`);

for (const name of names) {
  const { fields, identities, file } = parseVector(Buffer.from(vectors[name] ?? []));
  const expected = fields.get('expect') ?? '';
  t.test(`${name}: ${expected}`, async t => {
    if (expected === 'success') {
      const plaintext = await decryptAgeFile(file, identities);
      t.equal(createHash('sha256').update(plaintext).digest('hex'), fields.get('payload'));
      return;
    }
    const error = await decryptAgeFile(file, identities).catch(error => error);
    if (!(error instanceof AgeFileError)) throw error;
    t.ok(EXPECTED_PROBLEMS[expected]?.includes(error.problem), `${error.problem}: ${error.message}`);
  });
}
