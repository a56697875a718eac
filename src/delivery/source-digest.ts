// What tells a changed source without telling its value: SHA-256 of the ciphertext, and for a source that is not encrypted an
// HMAC, since a plain hash of a short secret can be guessed. Runs in the deliverer, which alone has the key.
import { createHash, createHmac } from 'node:crypto';
import pLimit from 'p-limit';
import { VmsecretdError } from '../errors.js';
import { type NamedSource, SourceSession } from '../secrets/source.js';
import type { Loaded } from '../secrets/sources/reader.js';
import { trimEnding } from '../secrets/trim.js';
import type { PreparedCredential } from './protocol.js';

/** Reads at once; a round may ask for the sources of every VM. */
const CONCURRENT_READS = 16;

export type SourceDigest = Pick<PreparedCredential, 'digest' | 'ciphertextDigest'>;

export async function digestLoaded(
  { source: { trim = 'none' } }: NamedSource,
  { stored, isCiphertext }: Loaded,
  digestKey: Promise<Buffer>,
): Promise<SourceDigest> {
  if (isCiphertext) return { ciphertextDigest: createHash('sha256').update(stored).digest('hex') };
  const hmac = createHmac('sha256', await digestKey).update(trimEnding(stored, trim));
  return { digest: hmac.digest('hex') };
}

/** Nothing is decrypted. @returns null for a source that cannot be read now */
export async function digestSources(
  sources: readonly NamedSource[],
  digestKey: Promise<Buffer>,
): Promise<(string | null)[]> {
  const limit = pLimit(CONCURRENT_READS);
  const session = new SourceSession();
  try {
    return await Promise.all(sources.map(source => limit(() => digestSource(source, session, digestKey))));
  } finally {
    await session.end();
  }
}

async function digestSource(
  named: NamedSource,
  session: SourceSession,
  digestKey: Promise<Buffer>,
): Promise<string | null> {
  try {
    const loaded = await session.load(named);
    try {
      const { ciphertextDigest, digest } = await digestLoaded(named, loaded, digestKey);
      return ciphertextDigest ?? digest ?? null;
    } finally {
      loaded.stored.fill(0);
    }
  } catch (error) {
    if (error instanceof VmsecretdError) return null;
    throw error;
  }
}
