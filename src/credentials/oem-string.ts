// OEM strings: SMBIOS type 11 strings, the way a credential travels into a guest.
import type { SecretValue } from '../secrets/secret-value.js';

const BINARY_PREFIX = 'io.systemd.credential.binary:';
/** Leaves the value out of each credential that a text quotes: what a VMM says may have its own VM config in it. */
export function hideCredentials(text: string): string {
  return text.replaceAll(/(io\.systemd\.credential(?:\.binary)?:[^=\s]*=)[^\s"'\\,\]]+/g, '$1<hidden>');
}

/** Size in bytes of the OEM string that `buildCredentialString` will give. */
export function credentialStringSize(name: string, valueSizeBytes: number): number {
  return BINARY_PREFIX.length + name.length + 1 + Math.ceil(valueSizeBytes / 3) * 4;
}

/** `io.systemd.credential.binary:NAME=base64`, as bytes that the caller wipes. */
export function buildCredentialString(name: string, value: SecretValue): Buffer {
  const head = Buffer.from(`${BINARY_PREFIX}${name}=`, 'latin1');
  const oemString = Buffer.alloc(credentialStringSize(name, value.sizeBytes));
  head.copy(oemString);
  value.open(bytes => encodeBase64(bytes, oemString, head.length));
  return oemString;
}

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const PADDING = '='.charCodeAt(0);

/** Base64 straight into bytes: Buffer's own encoder gives a string, which nobody can wipe. */
function encodeBase64(from: Buffer, to: Buffer, offset: number): void {
  let at = offset;
  for (let index = 0; index < from.length; index += 3) {
    const present = Math.min(3, from.length - index);
    const group = ((from[index] ?? 0) << 16) | ((from[index + 1] ?? 0) << 8) | (from[index + 2] ?? 0);
    for (let sextet = 0; sextet < 4; sextet += 1) {
      to[at] = sextet > present ? PADDING : (ALPHABET[(group >> (18 - 6 * sextet)) & 63] ?? PADDING);
      at += 1;
    }
  }
}
