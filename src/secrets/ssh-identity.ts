// SSH keys as age identities: stanza types ssh-ed25519 and ssh-rsa, as agenix users have them; and for an Ed25519 key
// X25519 too, as sops-nix and clan have it: ssh-to-age makes a native recipient of the same key.

import { constants, createHash, type KeyObject, privateDecrypt } from 'node:crypto';
import type { Stanza } from 'age-encryption';
import type { AgeIdentity } from './age-identity.js';
import { AgeFileError } from './age-identity.js';
import { decodeArgument, deriveKey, malformedStanza, openFileKey } from './file-key.js';
import { importScalar, openX25519, POINT_BYTES, publicPoint, sharedSecret } from './x25519.js';

export type SshKeyType = 'ssh-ed25519' | 'ssh-rsa';

/** Opens one stanza that is meant for this key; null where it is not after all (a tag has but four bytes). */
export type SshUnwrap = (stanza: Stanza) => Buffer | null;

/** The private half of a key. */
export interface OpenedSshKey {
  unwrap: SshUnwrap;
  /** For a stanza to the age recipient that ssh-to-age makes of an Ed25519 key. */
  unwrapConverted?: SshUnwrap;
}

export interface SshKey {
  type: SshKeyType;
  publicKey: Buffer;
  origin: string;
  /** Whether `unlock` may take bcrypt's time. */
  isLocked: boolean;
  /** Called when a file is, or may be, meant for the key. Gives a clause where no passphrase fits: "is encrypted and …". */
  unlock(): OpenedSshKey | string;
}

const ARGUMENTS: Record<SshKeyType, number> = { 'ssh-ed25519': 3, 'ssh-rsa': 2 };
const TAG_BYTES = 4;

/** One for what is encrypted to the SSH key, and for an Ed25519 key one for what is encrypted to its age recipient. */
export function createSshIdentities(key: SshKey): AgeIdentity[] {
  let opened: OpenedSshKey | string | undefined;
  const unlockOnce = () => {
    opened ??= key.unlock();
    return opened;
  };
  const identity = createSshIdentity(key, unlockOnce);
  return key.type === 'ssh-ed25519' ? [identity, createConvertedIdentity(key, unlockOnce)] : [identity];
}

// KeyObjects cannot be wiped; they go with the process.
const wipe = () => {};

function createSshIdentity({ type, publicKey, origin }: SshKey, unlock: SshKey['unlock']): AgeIdentity {
  const tag = createHash('sha256').update(publicKey).digest().subarray(0, TAG_BYTES);
  return {
    kind: type,
    origin,
    unwrapFileKey(stanzas) {
      for (const stanza of stanzas) {
        if (stanza.args[0] !== type) continue;
        if (stanza.args.length !== ARGUMENTS[type]) throw malformedStanza(type);
        if (!decodeArgument(type, stanza.args[1], TAG_BYTES).equals(tag)) continue;
        const opened = unlock();
        if (typeof opened === 'string')
          throw new AgeFileError('key_locked', `the key for it, ${origin}, ${opened}`);
        const fileKey = opened.unwrap(stanza);
        if (fileKey !== null) return fileKey;
      }
      return null;
    },
    wipe,
  };
}

/** Native stanzas do not say for whom they are, so a locked key is tried when all others have failed. */
function createConvertedIdentity({ origin, isLocked }: SshKey, unlock: SshKey['unlock']): AgeIdentity {
  return {
    kind: 'ssh-ed25519',
    origin,
    isCostly: isLocked,
    unwrapFileKey(stanzas) {
      const native = stanzas.filter(({ args }) => args[0] === 'X25519');
      if (native.length === 0) return null;
      const opened = unlock();
      if (typeof opened === 'string')
        throw new AgeFileError('key_locked', `a key that may be the one for it, ${origin}, ${opened}`);
      for (const stanza of native) {
        const fileKey = opened.unwrapConverted?.(stanza);
        if (fileKey) return fileKey;
      }
      return null;
    },
    wipe,
  };
}

/** Takes the Ed25519 seed over. */
export function openEd25519(seed: Buffer, publicKey: Buffer): OpenedSshKey {
  const type = 'ssh-ed25519';
  const label = 'age-encryption.org/v1/ssh-ed25519';
  // RFC 8032: the scalar behind an Ed25519 key is the first half of its seed's hash.
  const scalar = createHash('sha512').update(seed).digest();
  seed.fill(0);
  const privateKey = importScalar(scalar.subarray(0, POINT_BYTES));
  scalar.fill(0);
  const recipient = publicPoint(privateKey);
  const tweak = importScalar(deriveKey(Buffer.alloc(0), publicKey, label));
  const unwrap = (stanza: Stanza): Buffer | null => {
    const share = decodeArgument(type, stanza.args[2], POINT_BYTES);
    const untweaked = sharedSecret(privateKey, share);
    const secret = untweaked && sharedSecret(tweak, untweaked);
    untweaked?.fill(0);
    if (secret === null) throw malformedStanza(type);
    const key = deriveKey(secret, Buffer.concat([share, recipient]), label);
    secret.fill(0);
    return openFileKey(type, stanza.body, key);
  };
  return { unwrap, unwrapConverted: openX25519(privateKey) };
}

export function openRsa(privateKey: KeyObject): OpenedSshKey {
  const options = {
    key: privateKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: 'sha256',
    oaepLabel: Buffer.from('age-encryption.org/v1/ssh-rsa'),
  };
  const unwrap = (stanza: Stanza): Buffer | null => {
    try {
      const fileKey = privateDecrypt(options, stanza.body);
      return fileKey.length === 16 ? fileKey : null;
    } catch {
      return null;
    }
  };
  return { unwrap };
}
