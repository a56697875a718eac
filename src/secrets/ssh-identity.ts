// SSH keys as age identities: stanza types ssh-ed25519 and ssh-rsa, as agenix users have them.

import { constants, createHash, type KeyObject, privateDecrypt } from 'node:crypto';
import type { Stanza } from 'age-encryption';
import type { AgeIdentity } from './age-identity.js';
import { AgeFileError } from './age-identity.js';
import { decodeArgument, deriveKey, malformedStanza, openFileKey } from './file-key.js';
import { importScalar, POINT_BYTES, publicPoint, sharedSecret } from './x25519.js';

export type SshKeyType = 'ssh-ed25519' | 'ssh-rsa';

/** Opens one stanza that is meant for this key; null where it is not after all (a tag has but four bytes). */
export type SshUnwrap = (stanza: Stanza) => Buffer | null;

const ARGUMENTS: Record<SshKeyType, number> = { 'ssh-ed25519': 3, 'ssh-rsa': 2 };
const TAG_BYTES = 4;

/**
 * An identity whose private half is asked for (`unlock`) only when a file is meant for it, since unlocking may
 * take bcrypt's time. `unlock` gives null where no passphrase fits.
 */
export function createSshIdentity(
  type: SshKeyType,
  publicKey: Buffer,
  origin: string,
  unlock: () => SshUnwrap | null,
): AgeIdentity {
  const tag = createHash('sha256').update(publicKey).digest().subarray(0, TAG_BYTES);
  let unwrap: SshUnwrap | null | undefined;
  return {
    kind: type,
    origin,
    unwrapFileKey(stanzas) {
      for (const stanza of stanzas) {
        if (stanza.args[0] !== type) continue;
        if (stanza.args.length !== ARGUMENTS[type]) throw malformedStanza(type);
        if (!decodeArgument(type, stanza.args[1], TAG_BYTES).equals(tag)) continue;
        if (unwrap === undefined) unwrap = unlock();
        if (unwrap === null) throw keyLocked(origin);
        const fileKey = unwrap(stanza);
        if (fileKey !== null) return fileKey;
      }
      return null;
    },
    // KeyObjects cannot be wiped; they go with the process.
    wipe() {},
  };
}

function keyLocked(origin: string): AgeFileError {
  return new AgeFileError('key_locked', `the key for it, ${origin}, is encrypted and no passphrase opens it`);
}

/** Takes the Ed25519 seed over. */
export function openEd25519(seed: Buffer, publicKey: Buffer): SshUnwrap {
  const type = 'ssh-ed25519';
  const label = 'age-encryption.org/v1/ssh-ed25519';
  // RFC 8032: the scalar behind an Ed25519 key is the first half of its seed's hash.
  const scalar = createHash('sha512').update(seed).digest();
  seed.fill(0);
  const privateKey = importScalar(scalar.subarray(0, POINT_BYTES));
  scalar.fill(0);
  const recipient = publicPoint(privateKey);
  const tweak = importScalar(deriveKey(Buffer.alloc(0), publicKey, label));
  return stanza => {
    const share = decodeArgument(type, stanza.args[2], POINT_BYTES);
    const untweaked = sharedSecret(privateKey, share);
    const secret = untweaked && sharedSecret(tweak, untweaked);
    untweaked?.fill(0);
    if (secret === null) throw malformedStanza(type);
    const key = deriveKey(secret, Buffer.concat([share, recipient]), label);
    secret.fill(0);
    return openFileKey(type, stanza.body, key);
  };
}

export function openRsa(privateKey: KeyObject): SshUnwrap {
  const options = {
    key: privateKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: 'sha256',
    oaepLabel: Buffer.from('age-encryption.org/v1/ssh-rsa'),
  };
  return stanza => {
    try {
      const fileKey = privateDecrypt(options, stanza.body);
      return fileKey.length === 16 ? fileKey : null;
    } catch {
      return null;
    }
  };
}
