import { VmsecretdError } from '../errors.js';

/** systemd's credential_name_valid: a file name and an fd name of at most 255 bytes; and "=" ends it in an OEM string. */
const NAME_PATTERN = /^[\x20-\x7e]{1,255}$/;

/** @throws VmsecretdError credential_name_invalid */
export function checkCredentialName(vm: string, name: string): void {
  if (NAME_PATTERN.test(name) && !/[/:=]/.test(name) && name !== '.' && name !== '..') return;
  throw new VmsecretdError(
    'credential_name_invalid',
    `VM ${vm}: ${JSON.stringify(name.slice(0, 300))} is no credential name; it takes 1-255 printable ASCII characters without "/", ":" and "=", and not "." or ".."`,
    { details: { vm, credential: name.slice(0, 300) } },
  );
}
