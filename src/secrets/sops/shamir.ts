// Puts shares of a data key together: Shamir's secret sharing over GF(2^8), as sops took it from HashiCorp Vault. A share is the
// values of one polynomial a byte, and behind them the place at which they were taken.
import { damaged } from './sops-file-error.js';

/** The caller wipes the shares, and the result. @throws SopsFileError for shares that do not belong together */
export function combineShares(shares: readonly Buffer[]): Buffer {
  const places = shares.map(share => share.at(-1) ?? 0);
  const [sizeBytes = 0] = shares.map(share => share.length);
  const areOfOneKind = shares.every(share => share.length === sizeBytes) && sizeBytes > 1;
  if (!areOfOneKind || new Set(places).size < shares.length || places.includes(0))
    throw damaged('the shares of its data key do not belong together');
  const secret = Buffer.alloc(sizeBytes - 1);
  const weights = places.map(place =>
    places
      .filter(other => other !== place)
      .reduce((weight, other) => multiply(weight, multiply(other, invert(place ^ other))), 1),
  );
  for (let at = 0; at < secret.length; at++)
    secret[at] = shares.reduce((sum, share, index) => sum ^ multiply(share[at] ?? 0, weights[index] ?? 0), 0);
  return secret;
}

/** Modulo x^8 + x^4 + x^3 + x + 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >> 7) * 0x11b);
    product ^= ((b >> bit) & 1) * a;
  }
  return product & 0xff;
}

/** The 254th power: the 255th of each element but 0 is 1. */
function invert(a: number): number {
  let power = 1;
  for (let exponent = 0; exponent < 254; exponent++) power = multiply(power, a);
  return power;
}
