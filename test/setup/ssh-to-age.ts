// The recipient that ssh-to-age makes of an Ed25519 public key: its point in Montgomery form, u = (1 + y) / (1 - y).
import { readFileSync } from 'node:fs';
import { encodeBech32 } from './encode-bech32.js';

const PRIME = 2n ** 255n - 19n;

/** @param publicKeyPath as ssh-keygen writes it: "ssh-ed25519 AAAA… comment" */
export function sshToAge(publicKeyPath: string): string {
  const wire = Buffer.from(readFileSync(publicKeyPath, 'utf8').split(' ')[1] ?? '', 'base64');
  const encoded = Buffer.from(wire.subarray(-32)).reverse();
  // The top bit is the sign of x.
  encoded[0] = (encoded[0] ?? 0) & 0x7f;
  const y = BigInt(`0x${encoded.toString('hex')}`);
  const u = ((1n + y) * invert(PRIME + 1n - y)) % PRIME;
  const point = Buffer.from(u.toString(16).padStart(64, '0'), 'hex').reverse();
  return encodeBech32('age', point);
}

/** By Fermat's little theorem. */
function invert(value: bigint): bigint {
  let result = 1n;
  let base = value % PRIME;
  for (let exponent = PRIME - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % PRIME;
    base = (base * base) % PRIME;
  }
  return result;
}
