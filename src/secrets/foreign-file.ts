// Tells by its first bytes what a file is that is no age file, or no text: other programs' encrypted files, a pointer to a
// file that is elsewhere, an encoding. Says what to do. Quotes nothing of the content, which may be a secret.

import { isUtf8 } from 'node:buffer';

export interface ForeignFile {
  /** A clause about "it", the file. */
  what: string;
  /** What to do, without a capital letter and a full stop. */
  advice: string;
}

/** Of an advice. */
export function toSentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

interface Kind extends ForeignFile {
  is(content: Buffer): boolean;
  /** Whether a guest that was given the file as it is would get ciphertext. */
  isEncrypted: boolean;
}

const HEAD_BYTES = 4_096;
const headOf = (content: Buffer) => content.toString('latin1', 0, HEAD_BYTES);
const startsWith = (text: string) => (content: Buffer) => content.toString('latin1', 0, text.length) === text;
/** Of text, blank lines may come first. */
const matches = (pattern: RegExp) => (content: Buffer) => pattern.test(headOf(content));

const ENCODINGS: readonly Kind[] = [
  {
    is: startsWith('\xef\xbb\xbf'),
    what: 'it begins with a byte order mark (BOM)',
    advice: 'save it as UTF-8 without one',
    isEncrypted: false,
  },
  {
    is: content => startsWith('\xff\xfe')(content) || startsWith('\xfe\xff')(content) || isUtf16(content),
    what: 'it is text in UTF-16, as PowerShell writes it',
    advice: 'convert it with iconv -f UTF-16 -t UTF-8',
    isEncrypted: false,
  },
];

const REENCRYPT = 'and encrypt the value with age';

const KINDS: readonly Kind[] = [
  ...ENCODINGS,
  {
    is: matches(/^age-encryption\.org\/v1\r/),
    what: 'its line ends were changed to CRLF, as git does with core.autocrlf',
    advice: 'put "*.age binary" into .gitattributes, and restore the file from a good copy',
    isEncrypted: true,
  },
  {
    is: matches(/^\s*YWdlLWVuY3J5cHRpb24ub3JnL3Yx/),
    what: 'it is an age file in base64',
    advice: 'decode it with base64 -d',
    isEncrypted: true,
  },
  {
    is: content => content.includes('ENC[AES256_GCM,'),
    what: 'it is a sops file',
    advice: 'name it as "sops", and say which value: {"sops": "FILE", "key": "NAME"}',
    isEncrypted: true,
  },
  {
    is: isSystemdCredential,
    what: 'it is a credential of systemd-creds',
    advice: 'name it as "systemdCredential"',
    isEncrypted: true,
  },
  {
    is: startsWith('version https://git-lfs.github.com/spec/'),
    what: 'it is a pointer of git-lfs, and the file is elsewhere',
    advice: 'fetch the file with git lfs pull',
    isEncrypted: true,
  },
  {
    is: matches(/^(?:\.\.\/)*(?:\.git|\/)?\/?annex\/objects\//),
    what: 'it is a pointer of git-annex, and the file is elsewhere',
    advice: 'fetch the file with git annex get',
    isEncrypted: true,
  },
  {
    is: startsWith('\0GITCRYPT\0'),
    what: 'it is locked by git-crypt',
    advice: 'unlock the repository with git-crypt unlock, and copy the file again',
    isEncrypted: true,
  },
  {
    is: content => matches(/^\s*-----BEGIN PGP MESSAGE-----/)(content) || isBinaryPgp(content),
    what: 'it is encrypted with PGP (gpg)',
    advice: `decrypt it with gpg -d ${REENCRYPT}`,
    isEncrypted: true,
  },
  {
    is: matches(/^\s*\$ANSIBLE_VAULT;/),
    what: 'it is encrypted with ansible-vault',
    advice: `decrypt it with ansible-vault decrypt ${REENCRYPT}`,
    isEncrypted: true,
  },
  {
    is: matches(/^(?:Salted__|\s*U2FsdGVkX1)/),
    what: 'it is encrypted with openssl enc',
    advice: `decrypt it with openssl enc -d ${REENCRYPT}`,
    isEncrypted: true,
  },
  {
    is: matches(/^\s*-----BEGIN (?:CMS|PKCS7)-----/),
    what: 'it is encrypted with S/MIME (CMS)',
    advice: `decrypt it with openssl cms -decrypt ${REENCRYPT}`,
    isEncrypted: true,
  },
  {
    is: matches(/^(?:#[^\n]*\n|\s)*(?:AGE-SECRET-KEY-|AGE-PLUGIN-|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)/),
    what: 'it is a private key',
    advice: 'name it in "identities", and here the age file that it opens',
    isEncrypted: false,
  },
];

/** For a file that ought to be an age file and is none; undefined for a file of which there is nothing to say. */
export function identifyForeignFile(content: Buffer): ForeignFile | undefined {
  return KINDS.find(kind => kind.is(content));
}

/** Whether all of it is text that people read; ciphertext seldom is. */
export function isReadable(content: Buffer): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return isUtf8(content) && !/[\0-\x08\x0e-\x1f\x7f]/.test(content.toString('latin1'));
}

const isAge = matches(/^(?:age-encryption\.org\/v|\s*-----BEGIN AGE ENCRYPTED FILE)/);
const AGE_FILE: ForeignFile = { what: 'it is an age file', advice: 'name it as "age"' };

/** For a file that ought to be plain: a guest that was given it as it is would get ciphertext. */
export function identifyEncryptedFile(content: Buffer): ForeignFile | undefined {
  const other = KINDS.find(kind => kind.isEncrypted && kind.is(content));
  return other ?? (isAge(content) ? AGE_FILE : undefined);
}

/** For a file that ought to be of a kind of its own, such as a sops file: an age file is foreign there. */
export function identifyFile(content: Buffer): ForeignFile | undefined {
  return identifyForeignFile(content) ?? (isAge(content) ? AGE_FILE : undefined);
}

/** For a file that ought to be text, ASCII or UTF-8. */
export function findTextEncoding(content: Buffer): ForeignFile | undefined {
  return ENCODINGS.find(kind => kind.is(content));
}

/** Without a byte order mark: each second byte of some ASCII text is zero. */
function isUtf16(content: Buffer): boolean {
  const head = content.subarray(0, 64);
  if (head.length < 4 || head.length % 2 !== 0) return false;
  const isAscii = (byte: number) => byte >= 0x09 && byte < 0x7f;
  return [0, 1].some(zero => head.every((byte, index) => (index % 2 === zero ? byte === 0 : isAscii(byte))));
}

/** Behind an ID that names the key, the sizes of key, block, IV and tag of AES-256-GCM, 32 bits each. */
const CREDENTIAL_SIZES = Buffer.from('20000000010000000c00000010000000', 'hex');
const CREDENTIAL_ID_BYTES = 16;

export function isSystemdCredential(content: Buffer): boolean {
  const text = headOf(content).slice(0, 128);
  const decoded = /^[A-Za-z0-9+/=\s]+$/.test(text) ? Buffer.from(text, 'base64') : content;
  const sizes = decoded.subarray(CREDENTIAL_ID_BYTES, CREDENTIAL_ID_BYTES + CREDENTIAL_SIZES.length);
  return CREDENTIAL_SIZES.equals(sizes);
}

/** RFC 9580: a packet with a session key for a public key (tag 1) or a passphrase (tag 3) comes first. */
function isBinaryPgp(content: Buffer): boolean {
  const [first = 0, length = 0] = content;
  const versions: Record<number, readonly number[]> = { 1: [3, 6], 3: [4, 5, 6] };
  const isNewFormat = (first & 0xc0) === 0xc0;
  const tag = isNewFormat ? first & 0x3f : (first & 0x3c) >> 2;
  const lengthBytes = isNewFormat ? (length < 192 ? 1 : 2) : 2 ** (first & 3);
  return (
    (first & 0x80) !== 0 &&
    content.length > 16 &&
    lengthBytes < 8 &&
    versions[tag]?.includes(content[1 + lengthBytes] ?? 0) === true
  );
}
