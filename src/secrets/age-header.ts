// The header of an age file (C2SP age.md): takes the binary file, gives its stanzas; checks its MAC with a file key.
// Our own and not the age-encryption package's, whose streams and portable hashes cost a start more than all the rest of
// its decryption, and whose errors do not tell what is wrong (docs/secrets.md).

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Stanza } from 'age-encryption';
import { AgeFileError } from './age-identity.js';
import { decodeBase64, deriveKey } from './file-key.js';
import { identifyForeignFile, isReadable } from './foreign-file.js';

const VERSION_LINE = 'age-encryption.org/v1\n';
const ANY_VERSION = 'age-encryption.org/v';
const NEWER_VERSION = /^age-encryption\.org\/v(?!1\n)\d{1,3}\n/;
const STANZA_LINE = /^->(?: [!-~]+)+$/;
const BODY_LINE_CHARACTERS = 64;
const MAC_LINE_START = '--- ';
const MAC_BYTES = 32;
/** Each is tried with each identity, in a process that other starts wait for: 1 MiB has room for ten thousand. */
const MAXIMUM_RECIPIENTS = 1_024;

/** For text alone: who follows it for ciphertext gives that to the guest. */
const PLAIN_ADVICE = 'encrypt it with age, or name it as "file" if the guest is to get it as it is';

export interface AgeHeader {
  stanzas: Stanza[];
  mac: Buffer;
  /** What the MAC covers: all up to the dashes of its own line. */
  covered: Buffer;
  /** All of it, its last line end included. */
  bytes: Buffer;
}

/** Whether the content claims to be a binary age file; sound or not. */
export function startsAsAgeFile(content: Buffer): boolean {
  return content.toString('latin1', 0, ANY_VERSION.length) === ANY_VERSION;
}

/** Throws AgeFileError. */
export function parseAgeHeader(file: Buffer): AgeHeader {
  if (file.toString('latin1', 0, VERSION_LINE.length) !== VERSION_LINE) throw notVersion1(file);
  const lines = new HeaderLines(file, VERSION_LINE.length);
  const stanzas: Stanza[] = [];
  for (;;) {
    const start = lines.offset;
    const line = lines.next();
    if (line.startsWith(MAC_LINE_START)) {
      const mac = decodeBase64(line.slice(MAC_LINE_START.length), MAC_BYTES);
      if (mac === null) throw damaged();
      const covered = file.subarray(0, start + MAC_LINE_START.length - 1);
      return { stanzas, mac, covered, bytes: file.subarray(0, lines.offset) };
    }
    if (!STANZA_LINE.test(line)) throw damaged();
    if (stanzas.length === MAXIMUM_RECIPIENTS) throw tooManyRecipients();
    stanzas.push({ args: line.slice(3).split(' '), body: readBody(lines) });
  }
}

/** Throws AgeFileError where the header is not what the sender wrote. */
export function checkHeaderMac(header: AgeHeader, fileKey: Buffer): void {
  const key = deriveKey(fileKey, Buffer.alloc(0), 'header');
  const expected = createHmac('sha256', key).update(header.covered).digest();
  key.fill(0);
  if (!timingSafeEqual(expected, header.mac)) throw headerChanged();
}

export function headerChanged(): AgeFileError {
  return new AgeFileError('header_mac', 'its header is damaged (its checksum does not fit)');
}

/** Full lines and at last a shorter one, which may be empty. */
function readBody(lines: HeaderLines): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const line = lines.next();
    const part = line.length > BODY_LINE_CHARACTERS ? null : decodeBase64(line);
    if (part === null) throw damaged();
    parts.push(part);
    if (line.length < BODY_LINE_CHARACTERS) return Buffer.concat(parts);
  }
}

class HeaderLines {
  readonly #file: Buffer;
  offset: number;

  constructor(file: Buffer, offset: number) {
    this.#file = file;
    this.offset = offset;
  }

  next(): string {
    const end = this.#file.indexOf('\n', this.offset);
    if (end < 0) throw new AgeFileError('truncated', 'it is truncated or damaged: its header does not end');
    const line = this.#file.toString('latin1', this.offset, end);
    this.offset = end + 1;
    return line;
  }
}

function notVersion1(file: Buffer): AgeFileError {
  const start = file.toString('latin1', 0, VERSION_LINE.length + 2);
  if (NEWER_VERSION.test(start)) {
    return new AgeFileError('unsupported_version', 'it is of a newer version of the age format than v1');
  }
  if (file.length === 0) return new AgeFileError('not_age', 'it is empty');
  const foreign = identifyForeignFile(file);
  if (foreign !== undefined)
    return new AgeFileError('not_age', `it is not an age file: ${foreign.what}`, { advice: foreign.advice });
  if (startsAsAgeFile(file)) return damaged();
  const advice = isReadable(file) ? PLAIN_ADVICE : undefined;
  return new AgeFileError('not_age', 'it is not an age file', { advice });
}

function tooManyRecipients(): AgeFileError {
  return new AgeFileError('recipients', `it has more than ${MAXIMUM_RECIPIENTS} recipients`);
}

function damaged(): AgeFileError {
  return new AgeFileError('header', 'its header is damaged');
}
