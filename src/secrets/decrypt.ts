// Opens one age file with the identities at hand: takes its bytes, binary or armored, gives the plaintext; refuses
// with an AgeFileError that tells apart what is no age file, what is damaged and what is for other keys.

import type { Stanza } from 'age-encryption';
import { type AgeHeader, checkHeaderMac, parseAgeHeader, startsAsAgeFile } from './age-header.js';
import { AgeFileError, type AgeFileProblem, type AgeIdentity } from './age-identity.js';
import { decodeArmor, isArmored } from './armor.js';
import { openPayload } from './payload.js';

/** A locked key or a failing plugin is the file's failure only where no other identity opens it. */
const DEFERRABLE: ReadonlySet<AgeFileProblem> = new Set(['key_locked', 'plugin_failed']);

/**
 * The plaintext of a binary or armored age file, in a buffer of its own that the caller wipes.
 * Throws AgeFileError.
 */
export async function decryptAgeFile(file: Buffer, identities: readonly AgeIdentity[]): Promise<Buffer> {
  const binary = isArmored(file) ? await decodeArmor(file) : file;
  const header = parseAgeHeader(binary);
  const fileKey = await unwrapFileKey(header, identities);
  try {
    checkHeaderMac(header, fileKey);
    return openPayload(fileKey, binary.subarray(header.bytes.length));
  } finally {
    fileKey.fill(0);
  }
}

/** Whether the content claims to be an age file; sound or not. */
export function looksLikeAgeFile(content: Buffer): boolean {
  return startsAsAgeFile(content) || isArmored(content);
}

async function unwrapFileKey(header: AgeHeader, identities: readonly AgeIdentity[]): Promise<Buffer> {
  const { stanzas, bytes } = header;
  const types = listRecipientTypes(stanzas);
  refuseMixedPassphrase(types, stanzas.length);
  const deferred: AgeFileError[] = [];
  for (const identity of identities) {
    try {
      const fileKey = await identity.unwrapFileKey(stanzas, bytes);
      if (fileKey !== null) return fileKey;
    } catch (error) {
      if (!(error instanceof AgeFileError && DEFERRABLE.has(error.problem))) throw error;
      deferred.push(error);
    }
  }
  throw explainNoMatch(types, deferred);
}

/** Distinct types in their order, without grease: what age puts there only to keep parsers honest. */
function listRecipientTypes(stanzas: readonly Stanza[]): string[] {
  const types = stanzas.map(stanza => stanza.args[0] ?? '').filter(type => !type.endsWith('-grease'));
  return [...new Set(types)];
}

/** age's rule: who knows the passphrase is the only recipient, or the sender would not be authenticated. */
function refuseMixedPassphrase(types: readonly string[], stanzaCount: number): void {
  if (stanzaCount > 1 && types.includes('scrypt')) {
    throw new AgeFileError('header', 'its header is damaged (a passphrase beside other recipients)');
  }
}

function explainNoMatch(types: readonly string[], deferred: readonly AgeFileError[]): AgeFileError {
  const [first] = deferred;
  if (first !== undefined) {
    return new AgeFileError(first.problem, deferred.map(failure => failure.message).join('; '), {
      recipientTypes: types,
    });
  }
  if (types.includes('scrypt')) {
    return new AgeFileError('passphrase', 'it is encrypted with a passphrase, and none at hand fits', {
      recipientTypes: types,
    });
  }
  return new AgeFileError('no_match', 'it is encrypted to other keys', { recipientTypes: types });
}
