// What a guest's receipt must say of a credential: for whoever holds the value and the nonce, which is the deliverer alone.
import { createHash } from 'node:crypto';

/** SHA-256 of the nonce followed by the value, in lower-case hexadecimal (docs/receipt.md). */
export function computeReceiptDigest(nonce: Uint8Array, value: Uint8Array): string {
  return createHash('sha256').update(nonce).update(value).digest('hex');
}
