// One encrypted value of a sops file: ENC[AES256_GCM,…]. It is sealed together with the keys that lead to it, so that no value
// can be moved to another place.
import { createDecipheriv } from 'node:crypto';

const START = 'ENC[AES256_GCM,';
const SEALED =
  /^ENC\[AES256_GCM,data:([A-Za-z0-9+/]+=*),iv:([A-Za-z0-9+/]+=*),tag:([A-Za-z0-9+/]+=*),type:(str|int|float|bool|time|bytes)\]$/;
/** What a value of a type is made of; any other type has any bytes. */
const FORMS: Readonly<Record<string, RegExp>> = {
  int: /^-?\d+$/,
  float: /^(?:-?\d+(?:\.\d+)?|[-+]Inf|NaN)$/,
  bool: /^(?:True|False)$/,
  time: /^\d{4}-[0-9T:.Z+-]+$/,
};
const TAG_BYTES = 16;
/** sops takes 32; more than OpenSSL takes is damaged. */
const MAXIMUM_IV_BYTES = 64;

export interface SealedWith {
  dataKey: Buffer;
  /** The keys that lead to the value, or the time of the MAC. */
  sealedWith: string;
}

export function isSealed(text: string): boolean {
  return text.startsWith(START);
}

export function sealedType(sealed: string): string {
  return SEALED.exec(sealed)?.[4] ?? '';
}

/** The type is not sealed: whoever writes another one beside a value must not change what it means. */
export function hasFormOf(type: string, bytes: Buffer): boolean {
  return FORMS[type]?.test(bytes.toString('latin1')) ?? true;
}

/** As sops hashes it; the caller wipes it. Null where it is damaged, was moved, or was sealed with another key. */
export function openSealed(sealed: string, { dataKey, sealedWith }: SealedWith): Buffer | null {
  const [data, iv, tag] = (SEALED.exec(sealed) ?? [])
    .slice(1, 4)
    .map(base64 => Buffer.from(base64, 'base64'));
  if (data === undefined || iv === undefined || iv.length > MAXIMUM_IV_BYTES || tag?.length !== TAG_BYTES)
    return null;
  const decipher = createDecipheriv('aes-256-gcm', dataKey, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(sealedWith)).setAuthTag(tag);
  const bytes = decipher.update(data);
  try {
    decipher.final();
    return bytes;
  } catch {
    bytes.fill(0);
    return null;
  }
}
