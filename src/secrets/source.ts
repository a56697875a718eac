// Opens one credential's source: takes its definition, gives the value. Every failure is a VmsecretdError that
// names the VM, the credential, the file and what to do; none of them says anything about the value.

import { kindOf } from '../definition/credential-source.js';
import type { CredentialSource } from '../definition/definition.js';
import { type ErrorCode, systemErrorCode, VmsecretdError } from '../errors.js';
import type { FoundPlace } from '../system/find-together.js';
import { explainReadError, ReadRefusedError, readRegularFile } from '../system/read-regular-file.js';
import { explainHidden } from '../system/sandbox.js';
import { AgeFileError, type AgeFileProblem } from './age-identity.js';
import { decryptAgeFile } from './decrypt.js';
import type { Identities } from './identities.js';
import { PASSPHRASE_REMEDY } from './identity-file-error.js';
import { SecretValue } from './secret-value.js';
import { trimEnding } from './trim.js';

/** design.md's limit for one source, encrypted or not: systemd takes no more for all credentials together. */
export const SOURCE_LIMIT_BYTES = 1024 * 1024;

/** The source of a credential, and whose it is. */
export interface NamedSource {
  vm: string;
  credential: string;
  source: CredentialSource;
}

interface Place {
  vm: string;
  credential: string;
  path: string;
}

export interface OpenOptions {
  /** Sees an age file as it was read, before it is opened. */
  onCiphertext?: (file: Buffer) => void;
  /** Where its file was found together with those of the VM's other sources. */
  place?: FoundPlace | undefined;
}

/** The caller wipes the value. */
export async function openSource(
  named: NamedSource,
  identities: Identities,
  options: OpenOptions = {},
): Promise<SecretValue> {
  const bytes = await readSource(named, identities, options);
  return new SecretValue(trimEnding(bytes, named.source.trim ?? 'none'));
}

async function readSource(
  named: NamedSource,
  identities: Identities,
  { onCiphertext, place }: OpenOptions,
): Promise<Buffer> {
  const { vm, credential, source } = named;
  const stored = await readStored(named, place);
  if (source.age === undefined) return stored;
  onCiphertext?.(stored);
  return await decryptFile(stored, identities, { vm, credential, path: source.age });
}

/** What the source has as it is, encrypted or plain; the caller wipes it. */
export async function readStored(
  { vm, credential, source }: NamedSource,
  found?: FoundPlace,
): Promise<Buffer> {
  const kind = kindOf(source);
  switch (kind) {
    case 'text':
      return Buffer.from(source[kind] ?? '');
    case 'age':
    case 'file':
      return readSourceFile({ vm, credential, path: source[kind] ?? '' }, found);
    default:
      return kind satisfies never;
  }
}

async function readSourceFile(place: Place, found: FoundPlace | undefined): Promise<Buffer> {
  try {
    return await readRegularFile(place.path, { limitBytes: SOURCE_LIMIT_BYTES, place: found });
  } catch (error) {
    if (error instanceof ReadRefusedError) {
      const code = error.refusal === 'too_large' ? 'secret_too_large' : 'secret_unreadable';
      throw refusal(code, place, `is refused: ${error.message}.`, error);
    }
    throw explainSystemError(error, place);
  }
}

const READ_REMEDIES: Record<string, string> = {
  ENOENT: 'Create it, or correct its path.',
  ENOTDIR: 'Create it, or correct its path.',
  ELOOP: 'Make the link lead to a file.',
};

function explainSystemError(error: unknown, place: Place): unknown {
  const [code, why] = [systemErrorCode(error), explainReadError(error)];
  if (code === undefined || why === undefined) return error;
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
  const remedy = READ_REMEDIES[code] ?? "Let the daemon's user read it.";
  const hidden = isMissing ? explainHidden(place.path) : '';
  return refusal(
    isMissing ? 'secret_missing' : 'secret_unreadable',
    place,
    `${why}. ${remedy}${hidden}`,
    error,
  );
}

async function decryptFile(file: Buffer, identities: Identities, place: Place): Promise<Buffer> {
  try {
    return await decryptAgeFile(file, await identities.list());
  } catch (error) {
    if (!(error instanceof AgeFileError)) throw error;
    const { code } = FAILURES[error.problem];
    const advice = error.advice === undefined ? FAILURES[error.problem].advice : toSentence(error.advice);
    if (error.problem === 'no_match' && identities.loaded.length === 0)
      throw refusal(code, place, `does not open: ${explainNoIdentity(error, identities)}`, error);
    const keys = code === 'secret_no_identity' ? ` ${describeKeys(error, identities)}` : '';
    throw refusal(code, place, `does not open: ${error.message}.${keys} ${advice}`, error);
  }
}

function toSentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

const RESTORE = 'Restore it from a good copy, or encrypt it again.';
const FAILURES: Record<AgeFileProblem, { code: ErrorCode; advice: string }> = {
  not_age: {
    code: 'secret_corrupt',
    advice: 'Encrypt the value with age, and name the encrypted file.',
  },
  unsupported_version: { code: 'secret_corrupt', advice: 'Encrypt it in the format age-encryption.org/v1.' },
  armor: { code: 'secret_corrupt', advice: RESTORE },
  header: { code: 'secret_corrupt', advice: RESTORE },
  header_mac: { code: 'secret_corrupt', advice: RESTORE },
  payload: { code: 'secret_corrupt', advice: RESTORE },
  truncated: { code: 'secret_corrupt', advice: RESTORE },
  work_factor: { code: 'secret_unreadable', advice: 'Encrypt it again with a lower work factor.' },
  recipients: { code: 'secret_unreadable', advice: 'Encrypt it again to fewer recipients.' },
  key_locked: { code: 'secret_no_identity', advice: `For an encrypted key, ${PASSPHRASE_REMEDY}.` },
  passphrase: { code: 'secret_no_identity', advice: `To open it, ${PASSPHRASE_REMEDY}.` },
  plugin_failed: { code: 'secret_no_identity', advice: 'Try the same with `age -d -i` on this host.' },
  no_match: {
    code: 'secret_no_identity',
    advice: 'Encrypt it to a key of this host, or add the right key to "identities".',
  },
};

/** No key was read: why not each file, then what the age file wants. */
function explainNoIdentity(failure: AgeFileError, { notes }: Identities): string {
  return [
    `there is no identity to try${notes.length === 0 ? '' : ` (${notes.join('; ')})`}.`,
    describeRecipients(failure),
    'Make one of these files usable, or name another in "identities".',
  ]
    .filter(sentence => sentence !== '')
    .join(' ');
}

/** Which kinds of recipient the file has, which identities were tried, what there is to say of their files. */
function describeKeys(failure: AgeFileError, identities: Identities): string {
  const tried = new Set(identities.loaded.map(identity => `${identity.origin} (${identity.kind})`));
  return [
    describeRecipients(failure),
    tried.size === 0 ? 'There was no identity to try.' : `Tried: ${[...tried].join(', ')}.`,
    identities.notes.length === 0 ? '' : `Notes: ${identities.notes.join('; ')}.`,
  ]
    .filter(sentence => sentence !== '')
    .join(' ');
}

function describeRecipients({ recipientTypes }: AgeFileError): string {
  const types = recipientTypes.slice(0, 8).map(type => type.slice(0, 40));
  return types.length === 0 ? '' : `Its recipients: ${types.join(', ')}.`;
}

function refusal(code: ErrorCode, place: Place, what: string, cause: unknown): VmsecretdError {
  const message = `VM ${place.vm}, credential ${place.credential}: ${place.path} ${what}`;
  return new VmsecretdError(code, message, { details: { ...place }, cause });
}
