// OpenSSH's private key files (PROTOCOL.key): the public half is in the clear, the private half may be encrypted
// with a passphrase by bcrypt and AES.

import { createDecipheriv } from 'node:crypto';
import { pbkdf } from 'bcrypt-pbkdf';
import { IdentityFileError } from './identity-file-error.js';
import { importRsa } from './rsa-key.js';
import { type OpenedSshKey, openEd25519, openRsa, type SshKeyType } from './ssh-identity.js';
import { SshReader } from './ssh-wire.js';

const MAGIC = 'openssh-key-v1\0';
const SEED_BYTES = 32;
/** OpenSSH's names; ssh-keygen takes aes256-ctr unless told otherwise. */
const CIPHERS: Record<string, { algorithm: string; keyBytes: number }> = {
  'aes256-ctr': { algorithm: 'aes-256-ctr', keyBytes: 32 },
  'aes192-ctr': { algorithm: 'aes-192-ctr', keyBytes: 24 },
  'aes128-ctr': { algorithm: 'aes-128-ctr', keyBytes: 16 },
  'aes256-cbc': { algorithm: 'aes-256-cbc', keyBytes: 32 },
};
const IV_BYTES = 16;
/** ssh-keygen's default is 16 to 24; a thousand would already take half a minute. */
const MAX_BCRYPT_ROUNDS = 1000;

export interface OpensshKey {
  type: SshKeyType;
  publicKey: Buffer;
  cipher: string;
  kdfOptions: Buffer;
  privateSection: Buffer;
}

/**
 * Null for what is no such key; throws IdentityFileError for a type that age does not know.
 * The result shares memory with `bytes`.
 */
export function parseOpensshKey(bytes: Buffer): OpensshKey | null {
  const reader = new SshReader(bytes);
  try {
    if (reader.raw(MAGIC.length).toString('latin1') !== MAGIC) return null;
    const cipher = reader.text();
    reader.text(); // name of the key derivation: bcrypt, or none where the cipher is none
    const kdfOptions = reader.string();
    if (reader.uint32() !== 1) return null;
    const publicKey = reader.string();
    return {
      type: checkType(new SshReader(publicKey).text()),
      publicKey,
      cipher,
      kdfOptions,
      privateSection: reader.string(),
    };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function checkType(type: string): SshKeyType {
  if (type === 'ssh-ed25519' || type === 'ssh-rsa') return type;
  throw new IdentityFileError(`age knows no SSH keys of type ${type.slice(0, 40)}`);
}

export function isKnownCipher(cipher: string): boolean {
  return cipher in CIPHERS;
}

/** For a key without a passphrase; null where it is damaged. */
export function openOpensshKey(key: OpensshKey): OpenedSshKey | null {
  return readPrivateSection(key, key.privateSection);
}

/** Null where none of the passphrases opens it. */
export function unlockOpensshKey(key: OpensshKey, passphrases: readonly Buffer[]): OpenedSshKey | null {
  for (const passphrase of passphrases) {
    const section = decryptSection(key, passphrase);
    try {
      const opened = section && readPrivateSection(key, section);
      if (opened !== null) return opened;
    } finally {
      section?.fill(0);
    }
  }
  return null;
}

function decryptSection(key: OpensshKey, passphrase: Buffer): Buffer | null {
  const cipher = CIPHERS[key.cipher];
  const options = new SshReader(key.kdfOptions);
  const salt = options.string();
  const rounds = options.uint32();
  if (cipher === undefined || rounds > MAX_BCRYPT_ROUNDS) return null;
  const { algorithm, keyBytes } = cipher;
  const derived = Buffer.alloc(keyBytes + IV_BYTES);
  const status = pbkdf(passphrase, passphrase.length, salt, salt.length, derived, derived.length, rounds);
  if (status !== 0) return null;
  const decipher = createDecipheriv(algorithm, derived.subarray(0, keyBytes), derived.subarray(keyBytes));
  decipher.setAutoPadding(false);
  derived.fill(0);
  return decipher.update(key.privateSection);
}

/** Null where the two check numbers differ (the passphrase was another one) or what follows is no key. */
function readPrivateSection(key: OpensshKey, section: Buffer): OpenedSshKey | null {
  try {
    const reader = new SshReader(section);
    const check = reader.uint32();
    if (reader.uint32() !== check || reader.text() !== key.type) return null;
    return key.type === 'ssh-rsa' ? readRsa(reader) : readEd25519(reader, key.publicKey);
  } catch {
    // RangeError where it ends early, node:crypto's errors for numbers that are no key.
    return null;
  }
}

function readEd25519(reader: SshReader, publicKey: Buffer): OpenedSshKey {
  reader.string(); // the public key once more
  return openEd25519(reader.string().subarray(0, SEED_BYTES), publicKey);
}

function readRsa(reader: SshReader): OpenedSshKey {
  const modulus = reader.string();
  const publicExponent = reader.string();
  const privateExponent = reader.string();
  const coefficient = reader.string();
  const prime1 = reader.string();
  const prime2 = reader.string();
  return openRsa(importRsa({ modulus, publicExponent, privateExponent, coefficient, prime1, prime2 }));
}
