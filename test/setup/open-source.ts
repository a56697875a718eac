// One source opened by itself, as a deliverer opens it.
import type { CredentialSource } from '../../src/definition/definition.js';
import { VmsecretdError } from '../../src/errors.js';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';

const NAMED = { vm: 'web', credential: 'API_KEY' };

/** @returns the value, as latin1 */
export async function openOne(source: CredentialSource): Promise<string> {
  const identities = await loadIdentities({ vm: 'web', paths: [], passphraseFiles: [] });
  const value = await openSource({ ...NAMED, source }, identities);
  return value.open(bytes => bytes.toString('latin1'));
}

/** @throws Error where it opens */
export async function refusalOf(source: CredentialSource): Promise<VmsecretdError> {
  try {
    await openOne(source);
  } catch (error) {
    if (error instanceof VmsecretdError) return error;
    throw error;
  }
  throw new Error('it opened');
}
