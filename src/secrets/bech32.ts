// Bech32 (BIP 173, without its limit of 90 characters) as age identities use it. Works on bytes, because
// a key in a JavaScript string cannot be wiped.

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_LENGTH = 6;

export interface Bech32 {
  /** Human-readable part, in upper case. */
  prefix: string;
  /** The caller wipes it. */
  payload: Buffer;
}

/** Null where the text is no bech32: a strange character, upper and lower case mixed, a wrong checksum. */
export function parseBech32(text: Buffer): Bech32 | null {
  const separator = text.lastIndexOf('1');
  if (separator < 1 || text.length - separator - 1 < CHECKSUM_LENGTH || isMixedCase(text)) return null;
  const prefix = text.toString('latin1', 0, separator);
  const words = Buffer.allocUnsafeSlow(text.length - separator - 1);
  try {
    for (let i = 0; i < words.length; i++) {
      const word = ALPHABET.indexOf(String.fromCharCode(text.readUInt8(separator + 1 + i)).toLowerCase());
      if (word < 0) return null;
      words[i] = word;
    }
    if (checksum(prefix.toLowerCase(), words) !== 1) return null;
    const payload = joinWords(words.subarray(0, -CHECKSUM_LENGTH));
    return payload === null ? null : { prefix: prefix.toUpperCase(), payload };
  } finally {
    words.fill(0);
  }
}

function isMixedCase(text: Buffer): boolean {
  const isLower = (byte: number) => byte >= 0x61 && byte <= 0x7a;
  const isUpper = (byte: number) => byte >= 0x41 && byte <= 0x5a;
  return text.some(isLower) && text.some(isUpper);
}

function checksum(prefix: string, words: Buffer): number {
  let state = 1;
  const add = (value: number) => {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ value;
    GENERATOR.forEach((term, bit) => {
      if ((top >>> bit) & 1) state ^= term;
    });
  };
  for (const character of prefix) add(character.charCodeAt(0) >>> 5);
  add(0);
  for (const character of prefix) add(character.charCodeAt(0) & 31);
  for (const word of words) add(word);
  return state;
}

/** Joins words of 5 bits to bytes; null where the padding is not zero or a whole word too long. */
function joinWords(words: Buffer): Buffer | null {
  const payload = Buffer.allocUnsafeSlow(Math.floor((words.length * 5) / 8));
  let pending = 0;
  let pendingBits = 0;
  let length = 0;
  for (const word of words) {
    pending = ((pending << 5) | word) & 0xfff;
    pendingBits += 5;
    if (pendingBits < 8) continue;
    pendingBits -= 8;
    payload[length++] = (pending >>> pendingBits) & 0xff;
  }
  if (pendingBits < 5 && (pending & ((1 << pendingBits) - 1)) === 0) return payload;
  payload.fill(0);
  return null;
}
