// Armored age files (PEM-like text), told apart by their first line. Decoding is the age-encryption package's job.

import { AgeFileError } from './age-identity.js';

const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';
/** Of each line but the last. */
const LINE_CHARACTERS = 64;
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
    throw new AgeFileError('armor', `its armor is damaged: ${explainArmor(text)}`);
  }
}

/** Where the armor is not as the format wants it: full lines of base64 between BEGIN and END, and nothing else. */
function explainArmor(text: string): string {
  const all = text.replaceAll('\r\n', '\n').split('\n');
  const begin = all.findIndex(line => line.trim() !== '');
  const end = all.findIndex(line => line.includes(END));
  if (all[begin]?.trim() !== BEGIN) return `line ${begin + 1} has more than "${BEGIN}"`;
  if (all[end]?.trim() !== END) return `line ${end + 1} has more than "${END}"`;
  if (
    all
      .slice(end + 1)
      .join('')
      .trim() !== ''
  )
    return `there is text behind line ${end + 1}, its end line`;
  const lines = all.slice(begin, end + 1);
  for (const [index, line] of lines.entries()) {
    const at = `line ${begin + index + 1}`;
    if (line !== line.trim()) return `${at} has blanks around it`;
    if (index === 0 || index === lines.length - 1) continue;
    if (line === '') return `${at} is empty`;
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(line)) return `${at} has a character that is no base64`;
    const isLast = index === lines.length - 2;
    if (line.length > LINE_CHARACTERS || (!isLast && line.length < LINE_CHARACTERS))
      return `${at} has ${line.length} characters and not ${LINE_CHARACTERS}`;
    if (line.length % 4 !== 0) return `${at} has ${line.length} characters, which is no multiple of 4`;
  }
  return `line ${end} is no canonical base64`;
}
