// Makes identities of a private key in PEM: OpenSSH's own format, or an RSA or Ed25519 key as openssl writes it.

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { quoteWord } from '../system/quote-word.js';
import type { AgeIdentity } from './age-identity.js';
import { IdentityFileError, PASSPHRASE_REMEDY } from './identity-file-error.js';
import { isKnownCipher, openOpensshKey, parseOpensshKey, unlockOpensshKey } from './openssh-key.js';
import { decodePem } from './pem.js';
import { sshRsaPublicKey } from './rsa-key.js';
import { createSshIdentities, openEd25519, openRsa } from './ssh-identity.js';
import { sshString } from './ssh-wire.js';
import { edwardsSeed, publicPoint } from './x25519.js';

const OPENSSH = 'OPENSSH PRIVATE KEY';
const NO_PASSPHRASE_FITS = 'is encrypted and no passphrase opens it';

/**
 * @param block from its BEGIN line to its END line
 * @param label what the BEGIN line names
 * @throws IdentityFileError for a key of another kind, a damaged one, or one that needs a passphrase to be read
 */
export function parseSshKey(
  block: Buffer,
  label: string,
  origin: string,
  passphrases: readonly Buffer[],
): AgeIdentity[] {
  return label === OPENSSH
    ? parseOpenssh(block, origin, passphrases)
    : parsePem(readPem(block, label, passphrases), origin);
}

function parseOpenssh(block: Buffer, origin: string, passphrases: readonly Buffer[]): AgeIdentity[] {
  const bytes = decodePem(block, OPENSSH);
  const key = bytes && parseOpensshKey(bytes);
  if (key === null) throw new IdentityFileError('it is a damaged OpenSSH key');
  const publicKey = Buffer.from(key.publicKey);
  const { type, cipher } = key;
  if (cipher === 'none') {
    const opened = openOpensshKey(key);
    bytes?.fill(0);
    if (opened === null) throw new IdentityFileError('it is a damaged OpenSSH key');
    return createSshIdentities({ type, publicKey, origin, isLocked: false, unlock: () => opened });
  }
  const unlock = isKnownCipher(cipher)
    ? () => unlockOpensshKey(key, passphrases) ?? NO_PASSPHRASE_FITS
    : () => {
        const remedy = `ssh-keygen -p -Z aes256-ctr -f ${quoteWord(origin)}`;
        return `is encrypted with ${cipher.slice(0, 40)}; change that: ${remedy}`;
      };
  return createSshIdentities({ type, publicKey, origin, isLocked: true, unlock });
}

function parsePem(privateKey: KeyObject, origin: string): AgeIdentity[] {
  const kind = privateKey.asymmetricKeyType;
  if (kind === 'rsa') {
    const publicKey = sshRsaPublicKey(privateKey);
    const unlock = () => openRsa(privateKey);
    return createSshIdentities({ type: 'ssh-rsa', publicKey, origin, isLocked: false, unlock });
  }
  if (kind === 'ed25519') {
    const type = 'ssh-ed25519';
    const publicKey = Buffer.concat([sshString(Buffer.from(type)), sshString(publicPoint(privateKey))]);
    const opened = openEd25519(edwardsSeed(privateKey), publicKey);
    return createSshIdentities({ type, publicKey, origin, isLocked: false, unlock: () => opened });
  }
  throw new IdentityFileError(`age knows RSA and Ed25519 keys, and this one is ${kind}`);
}

function readPem(block: Buffer, label: string, passphrases: readonly Buffer[]): KeyObject {
  const isEncrypted = label.startsWith('ENCRYPTED ') || block.includes('Proc-Type: 4,ENCRYPTED');
  for (const passphrase of isEncrypted ? passphrases : [undefined]) {
    try {
      return createPrivateKey({ key: block, format: 'pem', ...(passphrase && { passphrase }) });
    } catch {
      // Encrypted with another passphrase, or damaged: node:crypto does not tell them apart.
    }
  }
  throw new IdentityFileError(
    isEncrypted
      ? `it ${NO_PASSPHRASE_FITS}; ${PASSPHRASE_REMEDY}`
      : 'it is a private key that cannot be read: it is damaged, or of a kind that age does not know',
  );
}
