// Makes an identity of a private key file that SSH can use: OpenSSH's own format, or an RSA key in PEM.

import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { AgeIdentity } from './age-identity.js';
import { IdentityFileError, PASSPHRASE_REMEDY } from './identity-file-error.js';
import { isKnownCipher, openOpensshKey, parseOpensshKey, unlockOpensshKey } from './openssh-key.js';
import { decodePem } from './pem.js';
import { sshRsaPublicKey } from './rsa-key.js';
import { createSshIdentity, openRsa } from './ssh-identity.js';

/** Whether the content is a key in PEM, as SSH's private keys are. */
export function looksLikePem(content: Buffer): boolean {
  return content.includes('-----BEGIN ') && content.includes('PRIVATE KEY-----');
}

/** Throws IdentityFileError for a key of another kind, a damaged one, or one that needs a passphrase to be read. */
export function parseSshFile(content: Buffer, origin: string, passphrases: readonly Buffer[]): AgeIdentity {
  const bytes = decodePem(content, 'OPENSSH PRIVATE KEY');
  return bytes === null
    ? parsePemFile(content, origin, passphrases)
    : parseOpensshFile(bytes, origin, passphrases);
}

function parseOpensshFile(bytes: Buffer, origin: string, passphrases: readonly Buffer[]): AgeIdentity {
  const key = parseOpensshKey(bytes);
  if (key === null) throw new IdentityFileError('it is a damaged OpenSSH key');
  const publicKey = Buffer.from(key.publicKey);
  const { type, cipher } = key;
  if (cipher === 'none') {
    const unwrap = openOpensshKey(key);
    bytes.fill(0);
    if (unwrap === null) throw new IdentityFileError('it is a damaged OpenSSH key');
    return createSshIdentity(type, publicKey, origin, () => unwrap);
  }
  if (!isKnownCipher(cipher)) {
    const remedy = `ssh-keygen -p -Z aes256-ctr -f ${origin}`;
    throw new IdentityFileError(`it is encrypted with ${cipher.slice(0, 40)}; change that: ${remedy}`);
  }
  return createSshIdentity(type, publicKey, origin, () => unlockOpensshKey(key, passphrases));
}

function parsePemFile(content: Buffer, origin: string, passphrases: readonly Buffer[]): AgeIdentity {
  const privateKey = readPem(content, passphrases);
  if (privateKey.asymmetricKeyType !== 'rsa') {
    throw new IdentityFileError(
      `in PEM only RSA keys are known, this one is ${privateKey.asymmetricKeyType}`,
    );
  }
  return createSshIdentity('ssh-rsa', sshRsaPublicKey(privateKey), origin, () => openRsa(privateKey));
}

function readPem(content: Buffer, passphrases: readonly Buffer[]): KeyObject {
  for (const passphrase of [undefined, ...passphrases]) {
    try {
      return createPrivateKey({ key: content, format: 'pem', ...(passphrase && { passphrase }) });
    } catch {
      // Encrypted with another passphrase, or damaged: node:crypto does not tell them apart.
    }
  }
  throw new IdentityFileError(
    `it is a private key that cannot be read; if it is encrypted, ${PASSPHRASE_REMEDY}`,
  );
}
