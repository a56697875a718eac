// Reads the content of one identity file as age does: comments, several keys, any mix of native, post-quantum and
// plugin identities, or one OpenSSH private key. Gives identities; refuses, with a reason, what it does not know.

import type { AgeIdentity } from './age-identity.js';
import { parseBech32 } from './bech32.js';
import { createX25519Identity } from './x25519.js';

const KEY_BYTES = 32;

/** Why an identity file is of no use; the message is a clause about the file, without its path or content. */
export class IdentityFileError extends Error {
  override readonly name = 'IdentityFileError';
}

/** The caller wipes `content` and the identities. An empty list means that there is none in the file. */
export function parseIdentityFile(content: Buffer, origin: string): AgeIdentity[] {
  const identities: AgeIdentity[] = [];
  try {
    for (const [index, line] of splitLines(content).entries()) {
      if (line.length === 0 || line[0] === 0x23) continue;
      identities.push(parseIdentityLine(line, index + 1, origin));
    }
    return identities;
  } catch (error) {
    for (const identity of identities) identity.wipe();
    throw error;
  }
}

function parseIdentityLine(line: Buffer, lineNumber: number, origin: string): AgeIdentity {
  const parsed = parseBech32(line);
  if (parsed === null) throw new IdentityFileError(`line ${lineNumber} is not an age identity`);
  const { prefix, payload } = parsed;
  if (prefix === 'AGE-SECRET-KEY-' && payload.length === KEY_BYTES) {
    return createX25519Identity(payload, origin);
  }
  payload.fill(0);
  if (prefix === 'AGE-SECRET-KEY-PQ-' && payload.length === KEY_BYTES) {
    return createPostQuantumIdentity(line, origin);
  }
  throw new IdentityFileError(`line ${lineNumber} is an identity of an unknown kind (${prefix})`);
}

/** The package does this kind itself and wants it as text, so that is what is kept. */
function createPostQuantumIdentity(line: Buffer, origin: string): AgeIdentity {
  const encoded = Buffer.allocUnsafeSlow(line.length);
  line.copy(encoded);
  return {
    kind: 'mlkem768x25519',
    origin,
    encoded,
    unwrapFileKey: () => null,
    wipe: () => encoded.fill(0),
  };
}

/** Lines without their ends and surrounding blanks; they share memory with the content. */
function splitLines(content: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  while (start <= content.length) {
    const newline = content.indexOf(0x0a, start);
    const end = newline < 0 ? content.length : newline;
    lines.push(trimBlanks(content.subarray(start, end)));
    start = end + 1;
  }
  return lines;
}

function trimBlanks(line: Buffer): Buffer {
  const isText = (byte: number) => byte > 0x20;
  const first = line.findIndex(isText);
  return first < 0 ? line.subarray(0, 0) : line.subarray(first, line.findLastIndex(isText) + 1);
}
