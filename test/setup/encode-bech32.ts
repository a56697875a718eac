// Bech32 in its other direction, for recipients and identities of test plugins.

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** In lower case, of a prefix in lower case. */
export function encodeBech32(prefix: string, payload: Uint8Array): string {
  const bits = [...payload].map(byte => byte.toString(2).padStart(8, '0')).join('');
  const words = (bits.match(/.{1,5}/g) ?? []).map(group => Number.parseInt(group.padEnd(5, '0'), 2));
  const codes = [...prefix].map(character => character.charCodeAt(0));
  const prefixWords = [...codes.map(code => code >> 5), 0, ...codes.map(code => code & 31)];
  const remainder = polymod([...prefixWords, ...words, 0, 0, 0, 0, 0, 0]) ^ 1;
  const checksum = Array.from({ length: 6 }, (_, index) => (remainder >> (5 * (5 - index))) & 31);
  return `${prefix}1${[...words, ...checksum].map(word => ALPHABET[word]).join('')}`;
}

function polymod(words: readonly number[]): number {
  let state = 1;
  for (const word of words) {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ word;
    for (const [bit, term] of GENERATOR.entries()) if ((top >> bit) & 1) state ^= term;
  }
  return state;
}
