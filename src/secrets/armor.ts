// Armored age files (PEM-like text), told apart by their first line. Decoding is the age-encryption package's job.

import { AgeFileError } from './age-identity.js';

const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';
const END = '-----END AGE ENCRYPTED FILE-----';

/** Blank lines may come first. */
export function isArmored(content: Buffer): boolean {
  const start = content.findIndex(byte => byte > 0x20);
  return start >= 0 && content.toString('latin1', start, start + BEGIN.length) === BEGIN;
}

/** Throws AgeFileError. */
export async function decodeArmor(file: Buffer): Promise<Buffer> {
  const text = file.toString('latin1');
  if (!text.includes(END)) {
    throw new AgeFileError('truncated', 'it is truncated: its armor has no end line');
  }
  // Loaded when it is needed: it takes longer than opening twenty files.
  const { armor } = await import('age-encryption');
  try {
    const decoded = armor.decode(text);
    return Buffer.from(decoded.buffer, decoded.byteOffset, decoded.byteLength);
  } catch {
    throw new AgeFileError('armor', 'its armor is damaged');
  }
}
