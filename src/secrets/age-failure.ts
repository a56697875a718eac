// Says why no identity opens an age file, or what is wrong with it, with what to do: for age files, and for the data key of
// a sops file.
import type { ErrorCode } from '../errors.js';
import type { AgeFileError, AgeFileProblem } from './age-identity.js';
import { toSentence } from './foreign-file.js';
import type { Identities } from './identities.js';
import { PASSPHRASE_REMEDY } from './identity-file-error.js';

/** @returns the code, and sentences of which the first is a clause about the file: "does not open: …" */
export function explainAgeFailure(
  error: AgeFileError,
  identities: Identities,
): { code: ErrorCode; text: string } {
  const { code } = FAILURES[error.problem];
  const advice = error.advice === undefined ? FAILURES[error.problem].advice : toSentence(error.advice);
  if (error.problem === 'no_match' && identities.loaded.length === 0)
    return { code, text: `does not open: ${explainNoIdentity(error, identities)}` };
  const keys = code === 'secret_no_identity' ? ` ${describeKeys(error, identities)}` : '';
  return { code, text: `does not open: ${error.message}.${keys} ${advice}` };
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
  const types = recipientTypes.slice(0, 8).map(type => type.slice(0, 80));
  return types.length === 0 ? '' : `Its recipients: ${types.join(', ')}.`;
}
