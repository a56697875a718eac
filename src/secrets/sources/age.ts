import { explainAgeFailure } from '../age-failure.js';
import { AgeFileError } from '../age-identity.js';
import { decryptAgeFile } from '../decrypt.js';
import type { Identities } from '../identities.js';
import { type NamedSource, type SourceReader, sourceFailure } from './reader.js';

export const readAge: SourceReader = async (named, { readFile, identities }) => {
  const stored = await readFile(named.source.age ?? '');
  return { stored, isCiphertext: true, decrypt: async () => decryptFile(named, stored, identities) };
};

async function decryptFile(
  named: NamedSource,
  file: Buffer,
  identities: Identities | undefined,
): Promise<Buffer> {
  if (identities === undefined) throw new TypeError('nothing is decrypted without identities');
  try {
    return await decryptAgeFile(file, await identities.list());
  } catch (cause) {
    if (!(cause instanceof AgeFileError)) throw cause;
    const path = named.source.age ?? '';
    const { code, text } = explainAgeFailure(cause, identities);
    throw sourceFailure(code, named, `${path} ${text}`, { path, cause });
  }
}
