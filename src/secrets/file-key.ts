// The small pieces all recipient kinds share: strict base64 of stanza arguments, HKDF,
// ChaCha20-Poly1305, and the wrapped file key.

import { createDecipheriv, hkdfSync } from 'node:crypto';
import { AgeFileError } from './age-identity.js';

export const TAG_BYTES = 16;
const FILE_KEY_BYTES = 16;
const ZERO_NONCE = Buffer.alloc(12);

/** Canonical base64 without padding; null for anything else, and for another length where one is given. */
export function decodeBase64(text: string, lengthBytes?: number): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  if (lengthBytes !== undefined && bytes.length !== lengthBytes) return null;
  // Node's decoder skips what it does not know, so only a text that encodes back to itself is well-formed.
  return bytes.toString('base64').replace(/=+$/, '') === text ? bytes : null;
}

/** An argument of a stanza; anything but base64 of that length is a damaged header. */
export function decodeArgument(type: string, text: string | undefined, lengthBytes: number): Buffer {
  const bytes = decodeBase64(text ?? '', lengthBytes);
  if (bytes === null) throw malformedStanza(type);
  return bytes;
}

export function malformedStanza(type: string): AgeFileError {
  return new AgeFileError('header', `its header is damaged (malformed ${type} recipient)`);
}

export function deriveKey(secret: Buffer, salt: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, label, 32));
}

/** Null where the wrapped file key is not for this key. Wipes `key`. */
export function openFileKey(type: string, body: Uint8Array, key: Buffer): Buffer | null {
  try {
    // A body of another length would let one file answer for several keys (partitioning oracle).
    if (body.length !== FILE_KEY_BYTES + TAG_BYTES) throw malformedStanza(type);
    return openSealed(key, ZERO_NONCE, body);
  } finally {
    key.fill(0);
  }
}

/** ChaCha20-Poly1305; null where the tag does not fit. */
export function openSealed(key: Buffer, nonce: Buffer, sealed: Uint8Array): Buffer | null {
  const cipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const opened = cipher.update(sealed.subarray(0, -TAG_BYTES));
  try {
    cipher.final();
    return opened;
  } catch {
    opened.fill(0);
    return null;
  }
}
