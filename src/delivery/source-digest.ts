// What tells a changed source without telling its value: SHA-256 of an age file's ciphertext, and for a plain file an
// HMAC, since a plain hash of a short secret can be guessed. Runs in the deliverer, which alone has the key.
import { createHash, createHmac } from 'node:crypto';
import pLimit from 'p-limit';
import { VmsecretdError } from '../errors.js';
import { SecretValue } from '../secrets/secret-value.js';
import { type NamedSource, readStored } from '../secrets/source.js';
import { trimEnding } from '../secrets/trim.js';

/** Reads at once; a round may ask for the sources of every VM. */
const CONCURRENT_READS = 16;

export function digestCiphertext(file: Buffer): string {
  return createHash('sha256').update(file).digest('hex');
}

export function digestValue(value: SecretValue, digestKey: Buffer): string {
  return value.open(bytes => createHmac('sha256', digestKey).update(bytes).digest('hex'));
}

/** An age file's is of its ciphertext, a plain file's of its value. @returns null for one that cannot be read now */
export function digestSources(
  sources: readonly NamedSource[],
  digestKey: Promise<Buffer>,
): Promise<(string | null)[]> {
  const limit = pLimit(CONCURRENT_READS);
  return Promise.all(sources.map(source => limit(() => digestSource(source, digestKey))));
}

async function digestSource(named: NamedSource, digestKey: Promise<Buffer>): Promise<string | null> {
  const { age, trim = 'none' } = named.source;
  try {
    const stored = await readStored(named);
    if (age !== undefined) return digestCiphertext(stored);
    const value = new SecretValue(trimEnding(stored, trim));
    try {
      return digestValue(value, await digestKey);
    } finally {
      value.wipe();
    }
  } catch (error) {
    if (error instanceof VmsecretdError) return null;
    throw error;
  }
}
