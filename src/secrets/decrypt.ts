// Opens one age file with the identities at hand. The format's header is the age-encryption package's job, and this
// is the only file that reads that package's message texts; keys are ours (age-identity.ts), and so is the payload.

import { armor, Decrypter, type Stanza } from 'age-encryption';
import { AgeFileError, type AgeFileProblem, type AgeIdentity } from './age-identity.js';
import { openPayload } from './payload.js';

const VERSION_LINE = 'age-encryption.org/v1\n';
const ANY_VERSION = 'age-encryption.org/v';
const ARMOR_BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';
const ARMOR_END = '-----END AGE ENCRYPTED FILE-----';
const MAC_LINE_START = '\n--- ';
const MAC_CHARACTERS = 43;
const DEFERRABLE: ReadonlySet<AgeFileProblem> = new Set(['key_locked', 'plugin_failed']);

/**
 * The plaintext of a binary or armored age file, in a buffer of its own that the caller wipes.
 * Throws AgeFileError.
 */
export async function decryptAgeFile(file: Buffer, identities: readonly AgeIdentity[]): Promise<Buffer> {
  const binary = isArmored(file) ? decodeArmor(file) : file;
  const headerLength = measureHeader(binary);
  const fileKey = await openHeader(binary.subarray(0, headerLength), identities);
  try {
    return openPayload(fileKey, binary.subarray(headerLength));
  } finally {
    fileKey.fill(0);
  }
}

/** Whether the content claims to be an age file; sound or not. */
export function looksLikeAgeFile(content: Buffer): boolean {
  return startsWith(content, ANY_VERSION) || isArmored(content);
}

function isArmored(content: Buffer): boolean {
  const start = content.findIndex(byte => byte > 0x20);
  return start >= 0 && startsWith(content.subarray(start), ARMOR_BEGIN);
}

function startsWith(content: Buffer, text: string): boolean {
  return content.toString('latin1', 0, text.length) === text;
}

function decodeArmor(file: Buffer): Buffer {
  const text = file.toString('latin1');
  if (!text.includes(ARMOR_END)) {
    throw new AgeFileError('truncated', 'it is truncated: its armor has no end line');
  }
  try {
    const decoded = armor.decode(text);
    return Buffer.from(decoded.buffer, decoded.byteOffset, decoded.byteLength);
  } catch {
    throw new AgeFileError('armor', 'its armor is damaged');
  }
}

/** Where the header ends: after the line with its MAC, the only one that can begin with `--- `. */
function measureHeader(binary: Buffer): number {
  if (!startsWith(binary, VERSION_LINE)) throw notVersion1(binary);
  const macLine = binary.indexOf(MAC_LINE_START, VERSION_LINE.length - 1);
  const end = macLine < 0 ? -1 : binary.indexOf('\n', macLine + 1);
  return end < 0 ? binary.length : end + 1;
}

function notVersion1(binary: Buffer): AgeFileError {
  if (startsWith(binary, VERSION_LINE.trimEnd())) {
    return new AgeFileError('header', 'its header is damaged (first line)');
  }
  if (startsWith(binary, ANY_VERSION)) {
    return new AgeFileError('unsupported_version', 'it is of a newer version of the age format than v1');
  }
  return new AgeFileError('not_age', binary.length === 0 ? 'it is empty' : 'it is not an age file');
}

async function openHeader(header: Buffer, identities: readonly AgeIdentity[]): Promise<Buffer> {
  let recipientTypes: string[] = [];
  const failures: Failures = { deferred: [], unexpected: undefined };
  const decrypter = new Decrypter();
  decrypter.addIdentity({
    unwrapFileKey(stanzas: Stanza[]) {
      recipientTypes = listRecipientTypes(stanzas);
      refuseMixedPassphrase(recipientTypes, stanzas.length);
      return null;
    },
  });
  for (const identity of identities) {
    decrypter.addIdentity(identity.encoded?.toString('latin1') ?? noteFailures(identity, failures));
  }
  try {
    const fileKey = await decrypter.decryptHeader(header);
    return Buffer.from(fileKey.buffer, fileKey.byteOffset, fileKey.byteLength);
  } catch (error) {
    // Not what is wrong with a file, so not for explainHeaderFailure to guess.
    if (failures.unexpected !== undefined) throw failures.unexpected;
    throw explainHeaderFailure(error, header, recipientTypes, failures.deferred);
  }
}

interface Failures {
  /** A locked key or a failing plugin is the file's failure only where no other identity opens it. */
  deferred: AgeFileError[];
  unexpected: unknown;
}

function noteFailures(identity: AgeIdentity, failures: Failures): Pick<AgeIdentity, 'unwrapFileKey'> {
  return {
    async unwrapFileKey(stanzas) {
      try {
        return await identity.unwrapFileKey(stanzas);
      } catch (error) {
        if (!(error instanceof AgeFileError)) failures.unexpected = error;
        else if (DEFERRABLE.has(error.problem)) {
          failures.deferred.push(error);
          return null;
        }
        throw error;
      }
    },
  };
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

/** The package compares a MAC of any length; one of a wrong length is a damaged line, not a changed header. */
function hasWholeMac(header: Buffer): boolean {
  return header.length - header.indexOf(MAC_LINE_START) === MAC_LINE_START.length + MAC_CHARACTERS + 1;
}

function explainHeaderFailure(
  error: unknown,
  header: Buffer,
  types: readonly string[],
  deferred: readonly AgeFileError[],
): unknown {
  // What our own identities threw says it better already.
  if (error instanceof AgeFileError || !(error instanceof Error)) return error;
  if (error.message === "no identity matched any of the file's recipients") {
    const [first] = deferred;
    if (first !== undefined) {
      return new AgeFileError(first.problem, deferred.map(failure => failure.message).join('; '), types);
    }
    if (types.includes('scrypt')) {
      return new AgeFileError(
        'passphrase',
        'it is encrypted with a passphrase, and none at hand fits',
        types,
      );
    }
    return new AgeFileError('no_match', 'it is encrypted to other keys', types);
  }
  if (error.message === 'invalid header HMAC' && hasWholeMac(header)) {
    return new AgeFileError('header_mac', 'its header is damaged (its checksum does not fit)');
  }
  if (!header.includes(MAC_LINE_START) || header.at(-1) !== 0x0a) {
    return new AgeFileError('truncated', 'it is truncated or damaged: its header does not end');
  }
  return new AgeFileError('header', 'its header is damaged');
}
