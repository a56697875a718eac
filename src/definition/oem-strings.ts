// What must hold of a VM's OEM strings, whoever writes its definition, since nothing after us checks it.
import { VmsecretdError } from '../errors.js';
import { checkCredentialName } from './credential-name.js';
import type { Definition } from './definition.js';
import { bootCredentials } from './on-demand.js';

/** Carries the nonce of a start, for the guest's receipt; see docs/receipt.md. */
export const NONCE_CREDENTIAL = 'vmsecretd.nonce';

/** The count of an SMBIOS type 11 structure is one byte; cloud-hypervisor v53 wraps it without a word. */
const MAXIMUM_OEM_STRINGS = 255;

const CREDENTIAL_PATTERN = /^io\.systemd\.credential(?:\.binary)?:([^=]*)=/;

/** The name of the credential that a static OEM string carries, or undefined for any other string. */
export function credentialNameOf(oemString: string): string | undefined {
  return CREDENTIAL_PATTERN.exec(oemString)?.[1];
}

/** Of all that a start delivers in OEM strings. */
export function credentialNames({ ready, credentials }: Pick<Definition, 'ready' | 'credentials'>): string[] {
  const names = Object.keys(bootCredentials(credentials));
  return ready === 'receipt' ? [NONCE_CREDENTIAL, ...names] : names;
}

/**
 * Checks count, static strings and names.
 * @throws VmsecretdError credentials_too_many, definition_invalid, credential_name_invalid, credential_duplicate
 */
export function checkOemStrings(
  vm: string,
  staticStrings: readonly string[],
  credentials: readonly string[],
): void {
  const count = staticStrings.length + credentials.length;
  if (count > MAXIMUM_OEM_STRINGS) {
    throw new VmsecretdError(
      'credentials_too_many',
      `VM ${vm}: ${count} OEM strings (${credentials.length} of them credentials) are more than the ${MAXIMUM_OEM_STRINGS} that SMBIOS can count; join some into one credential`,
      { details: { vm, count, limit: MAXIMUM_OEM_STRINGS } },
    );
  }
  for (const string of staticStrings) checkStaticString(vm, string);
  for (const name of credentials) checkCredentialName(vm, name);
  checkDuplicates(vm, staticStrings, credentials);
}

function checkStaticString(vm: string, string: string): void {
  if (string !== '' && !string.includes('\0')) return;
  const what =
    string === '' ? 'an empty OEM string, which would end the table' : 'an OEM string with a NUL in it';
  throw new VmsecretdError(
    'definition_invalid',
    `VM ${vm} has ${what}; take it out of oemStrings or --platform`,
    {
      details: { vm },
    },
  );
}

/** Of two credentials of one name systemd takes the first and drops the second silently. */
function checkDuplicates(vm: string, staticStrings: readonly string[], credentials: readonly string[]): void {
  const seen = new Set<string>();
  const names = [...staticStrings.map(credentialNameOf).filter(name => name !== undefined), ...credentials];
  for (const name of names) {
    if (seen.has(name)) {
      throw new VmsecretdError(
        'credential_duplicate',
        `VM ${vm}: credential ${name} is there twice, and the guest would silently take the first; take it out of the static OEM strings (oemStrings, --platform) or rename it`,
        { details: { vm, credential: name } },
      );
    }
    seen.add(name);
  }
}
