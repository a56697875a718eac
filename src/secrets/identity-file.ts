// Reads the content of one identity file: comments, and in any mix native, post-quantum and plugin identities, one a
// line, and private keys in PEM, as SSH has them. Gives identities; refuses, with line and reason, what it does not know.

import type { AgeIdentity } from './age-identity.js';
import { parseBech32 } from './bech32.js';
import { findTextEncoding } from './foreign-file.js';
import { IdentityFileError } from './identity-file-error.js';
import { createPluginIdentity, type PluginSettings } from './plugin-identity.js';
import { createPostQuantumIdentity } from './post-quantum.js';
import { parseSshKey } from './ssh-file.js';
import { createX25519Identity } from './x25519.js';

const KEY_BYTES = 32;
const COMMENT = 0x23;
/** The name becomes a part of a program's name, so it has no slash. */
const PLUGIN_PREFIX = /^AGE-PLUGIN-([A-Z0-9+_.-]+)-$/;
const PEM_BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----$/;
const PUBLIC_KEY =
  /^age1|(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-\S+|sk-\S+) AAAA|^---- BEGIN SSH2 PUBLIC KEY/i;
const IS_PUBLIC = 'that is a public key; name the file of the private key';
const PUTTY_KEY = /^PuTTY-User-Key-File-/;
/** Enough of a line to see what it is: a file of known hosts has a name before the key. */
const SHOWN_CHARACTERS = 300;

/** What some kinds of identity need beside their file. */
export interface IdentityContext {
  passphrases: readonly Buffer[];
  plugins: PluginSettings;
  /** Is given a clause for each private key of no use here; the others are taken. Without it such a key is an error. */
  onUnusable?: (why: string) => void;
}

interface Line {
  number: number;
  /** Without its end and surrounding blanks; shares memory with the content. */
  bytes: Buffer;
  /** Where it begins and ends in the content. */
  start: number;
  end: number;
}

/**
 * The caller wipes `content` and the identities. An empty list means that there is none in the file.
 * @throws IdentityFileError
 */
export function parseIdentityFile(content: Buffer, origin: string, context: IdentityContext): AgeIdentity[] {
  const encoding = findTextEncoding(content);
  if (encoding !== undefined) throw new IdentityFileError(`${encoding.what}; ${encoding.advice}`);
  const identities: AgeIdentity[] = [];
  try {
    const lines = splitLines(content);
    for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
      if (line.bytes.length === 0 || line.bytes[0] === COMMENT) continue;
      const label = PEM_BEGIN.exec(line.bytes.toString('latin1', 0, SHOWN_CHARACTERS))?.[1];
      if (label === undefined) identities.push(parseIdentityLine(line, origin, context));
      else
        identities.push(...parsePemBlock(takePemBlock(content, line, label, lines), label, origin, context));
    }
    return identities;
  } catch (error) {
    for (const identity of identities) identity.wipe();
    throw error;
  }
}

interface PemBlock {
  /** Of its first line. */
  number: number;
  /** Undefined where it does not end. */
  content: Buffer | undefined;
}

/** Takes the lines of the block, its end included, from those that follow. */
function takePemBlock(content: Buffer, { number, start }: Line, label: string, following: Line[]): PemBlock {
  const end = Buffer.from(`-----END ${label}-----`);
  const last = following.findIndex(({ bytes }) => bytes.equals(end));
  const lines = following.splice(0, last < 0 ? following.length : last + 1);
  return { number, content: last < 0 ? undefined : content.subarray(start, lines.at(-1)?.end) };
}

/** One private key may be of use under two types of recipients; none where the key is of no use. */
function parsePemBlock(
  { number, content }: PemBlock,
  label: string,
  origin: string,
  { passphrases, onUnusable }: IdentityContext,
): AgeIdentity[] {
  const at = number === 1 ? '' : `line ${number}: `;
  if (!label.endsWith('PRIVATE KEY')) throw new IdentityFileError(`${at}${explainOtherPem(label)}`);
  try {
    if (content === undefined)
      throw new IdentityFileError(`it is cut short: no line "-----END ${label}-----" ends the key`);
    return parseSshKey(content, label, origin, passphrases);
  } catch (error) {
    if (!(error instanceof IdentityFileError)) throw error;
    const message = `${at}${error.message}`;
    if (onUnusable === undefined) throw new IdentityFileError(message, { cause: error });
    onUnusable(message);
    return [];
  }
}

function explainOtherPem(label: string): string {
  if (label.includes('PUBLIC KEY') || label.includes('CERTIFICATE')) return IS_PUBLIC;
  if (label === 'AGE ENCRYPTED FILE')
    return 'an encrypted identity file stands beside other keys; put it into a file of its own';
  return `a ${label.slice(0, 60)} is no private key that age or SSH takes`;
}

function parseIdentityLine({ bytes, number }: Line, origin: string, context: IdentityContext): AgeIdentity {
  const parsed = parseBech32(bytes);
  if (parsed === null) throw new IdentityFileError(`line ${number} ${explainLine(bytes)}`);
  const { prefix, payload } = parsed;
  if (prefix === 'AGE-SECRET-KEY-' && payload.length === KEY_BYTES) {
    return createX25519Identity(payload, origin);
  }
  payload.fill(0);
  if (prefix === 'AGE-SECRET-KEY-PQ-' && payload.length === KEY_BYTES) {
    return createPostQuantumIdentity(copyOf(bytes), origin);
  }
  const plugin = PLUGIN_PREFIX.exec(prefix)?.[1]?.toLowerCase();
  if (plugin !== undefined) return createPluginIdentity(plugin, copyOf(bytes), origin, context.plugins);
  const hint = PUBLIC_KEY.test(`${prefix}1`) ? `: ${IS_PUBLIC}` : '';
  throw new IdentityFileError(`line ${number} is an identity of an unknown kind (${prefix})${hint}`);
}

/** What a line is that is no identity. Says nothing of its content: it may be a private key with a slip. */
function explainLine(bytes: Buffer): string {
  const text = bytes.toString('latin1', 0, SHOWN_CHARACTERS);
  if (PUBLIC_KEY.test(text)) return `is no identity: ${IS_PUBLIC}`;
  if (PUTTY_KEY.test(text)) return 'begins a PuTTY key; convert it: puttygen KEY -O private-openssh -o NEW';
  return 'is not an age identity; a file of "identities" has lines of AGE-SECRET-KEY-1… or an SSH private key';
}

function copyOf(line: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(line.length);
  line.copy(copy);
  return copy;
}

function splitLines(content: Buffer): Line[] {
  const lines: Line[] = [];
  let start = 0;
  while (start <= content.length) {
    const newline = content.indexOf(0x0a, start);
    const end = newline < 0 ? content.length : newline;
    lines.push({ number: lines.length + 1, bytes: trimBlanks(content.subarray(start, end)), start, end });
    start = end + 1;
  }
  return lines;
}

function trimBlanks(line: Buffer): Buffer {
  const isText = (byte: number) => byte > 0x20;
  const first = line.findIndex(isText);
  return first < 0 ? line.subarray(0, 0) : line.subarray(first, line.findLastIndex(isText) + 1);
}
