// Reads the content of one identity file as age does: comments, several keys, any mix of native, post-quantum and
// plugin identities, or one OpenSSH private key. Gives identities; refuses, with a reason, what it does not know.

import type { AgeIdentity } from './age-identity.js';
import { parseBech32 } from './bech32.js';
import { IdentityFileError } from './identity-file-error.js';
import { createPluginIdentity, type PluginSettings } from './plugin-identity.js';
import { createPostQuantumIdentity } from './post-quantum.js';
import { looksLikePem, parseSshFile } from './ssh-file.js';
import { createX25519Identity } from './x25519.js';

const KEY_BYTES = 32;
/** The name becomes a part of a program's name, so it has no slash. */
const PLUGIN_PREFIX = /^AGE-PLUGIN-([A-Z0-9+_.-]+)-$/;

/** What some kinds of identity need beside their file. */
export interface IdentityContext {
  passphrases: readonly Buffer[];
  plugins: PluginSettings;
}

/** The caller wipes `content` and the identities. An empty list means that there is none in the file. */
export function parseIdentityFile(content: Buffer, origin: string, context: IdentityContext): AgeIdentity[] {
  if (looksLikePem(content)) return [parseSshFile(content, origin, context.passphrases)];
  const identities: AgeIdentity[] = [];
  try {
    for (const [index, line] of splitLines(content).entries()) {
      if (line.length === 0 || line[0] === 0x23) continue;
      identities.push(parseIdentityLine(line, index + 1, origin, context));
    }
    return identities;
  } catch (error) {
    for (const identity of identities) identity.wipe();
    throw error;
  }
}

function parseIdentityLine(
  line: Buffer,
  lineNumber: number,
  origin: string,
  context: IdentityContext,
): AgeIdentity {
  const parsed = parseBech32(line);
  if (parsed === null)
    throw new IdentityFileError(
      `line ${lineNumber} is not an age identity; a file of "identities" has lines of AGE-SECRET-KEY-1… or an SSH private key`,
    );
  const { prefix, payload } = parsed;
  if (prefix === 'AGE-SECRET-KEY-' && payload.length === KEY_BYTES) {
    return createX25519Identity(payload, origin);
  }
  payload.fill(0);
  if (prefix === 'AGE-SECRET-KEY-PQ-' && payload.length === KEY_BYTES) {
    return createPostQuantumIdentity(copyOf(line), origin);
  }
  const plugin = PLUGIN_PREFIX.exec(prefix)?.[1]?.toLowerCase();
  if (plugin !== undefined) return createPluginIdentity(plugin, copyOf(line), origin, context.plugins);
  throw new IdentityFileError(`line ${lineNumber} is an identity of an unknown kind (${prefix})`);
}

function copyOf(line: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(line.length);
  line.copy(copy);
  return copy;
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
