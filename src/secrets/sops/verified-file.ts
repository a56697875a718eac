// A sops file that was opened.
//
// INVARIANT: there is none of which a value, or the MAC over them, is not what somebody with the data key wrote.
import { createHash, timingSafeEqual } from 'node:crypto';
import { hasFormOf, isSealed, openSealed, sealedType } from './encrypted-value.js';
import { createEncryptionRule, type EncryptionRule } from './encryption-rule.js';
import type { FoundValue } from './find-value.js';
import type { SopsFile } from './sops-file.js';
import { damaged } from './sops-file-error.js';
import { showKeys, walkValues } from './tree.js';

/** sha256 of "sops": begins the hash of a MAC over encrypted values alone, so that it is no MAC over all of them. */
const ENCRYPTED_ONLY_START = createHash('sha256').update('sops').digest();

export class VerifiedSopsFile {
  readonly #dataKey: Buffer;
  readonly #rule: EncryptionRule;

  /** Takes the data key over. @throws SopsFileError where the file was changed without it */
  constructor(file: SopsFile, dataKey: Buffer) {
    this.#dataKey = dataKey;
    const { metadata } = file;
    const values = file.documents.flatMap(document => [...walkValues(document)]);
    this.#rule = createEncryptionRule(metadata, [...new Set(values.flatMap(([, keys]) => keys))]);
    const hash = createHash('sha512');
    if (metadata.isMacOfEncryptedOnly) hash.update(ENCRYPTED_ONLY_START);
    for (const [value, keys] of values) {
      if (metadata.isMacOfEncryptedOnly && !this.#isEncrypted({ value, keys })) continue;
      const bytes = this.#openAsHashed({ value, keys });
      hash.update(bytes);
      bytes.fill(0);
    }
    requireMac(file, dataKey, hash.digest('hex').toUpperCase());
  }

  /** The caller wipes the bytes. */
  open(found: FoundValue): Buffer {
    const bytes = this.#openAsHashed(found);
    const { type, text } = found.value;
    // As YAML and JSON have it; sops hashes it as Python does.
    const isBool = type === 'bool' || (type === 'str' && sealedType(text) === 'bool');
    return isBool ? Buffer.from(bytes.toString().toLowerCase()) : bytes;
  }

  wipe(): void {
    this.#dataKey.fill(0);
  }

  #openAsHashed(found: FoundValue): Buffer {
    const { value, keys } = found;
    if (!this.#isEncrypted(found) || value.text === '') return Buffer.from(value.text);
    const place = { dataKey: this.#dataKey, sealedWith: `${keys.join(':')}:` };
    const bytes = openSealed(value.text, place);
    if (bytes !== null && hasFormOf(sealedType(value.text), bytes)) return bytes;
    bytes?.fill(0);
    throw damaged(`its value ${showKeys(keys)} is damaged, or was moved there from another place`);
  }

  /** @throws SopsFileError where it is to be encrypted and is not, or its rule cannot be followed */
  #isEncrypted({ value, keys }: FoundValue): boolean {
    if (value.type === 'null') return false;
    const hasForm = value.type === 'str' && isSealed(value.text);
    const isWanted = this.#rule(keys) ?? hasForm;
    // sops leaves an empty value as it is.
    if (!isWanted || hasForm || (value.type === 'str' && value.text === '')) return isWanted;
    throw damaged(`its value ${showKeys(keys)} is to be encrypted, and is not: it was changed without sops`);
  }
}

/** @throws SopsFileError */
function requireMac({ metadata: { mac, lastModified } }: SopsFile, dataKey: Buffer, computed: string): void {
  const stored = openSealed(mac, { dataKey, sealedWith: lastModified });
  if (stored === null) throw damaged('its MAC is missing or damaged: it was changed without sops');
  if (stored.length !== computed.length || !timingSafeEqual(stored, Buffer.from(computed)))
    throw damaged('its MAC does not fit: it was changed without sops, or is damaged');
}
