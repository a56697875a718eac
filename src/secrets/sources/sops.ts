// One value of a sops file. The file is read, parsed and verified once for all credentials of a VM that are in it.
import { parseSopsKey } from '../../definition/sources/sops-key.js';
import { explainAgeFailure } from '../age-failure.js';
import { AgeFileError } from '../age-identity.js';
import type { Identities } from '../identities.js';
import { openDataKey } from '../sops/data-key.js';
import { isSealed } from '../sops/encrypted-value.js';
import { findValue } from '../sops/find-value.js';
import { parseSopsFile, type SopsFile } from '../sops/sops-file.js';
import { SopsFileError } from '../sops/sops-file-error.js';
import { VerifiedSopsFile } from '../sops/verified-file.js';
import { type NamedSource, type SourceReader, sourceFailure } from './reader.js';

export const readSops: SourceReader = async (named, { identities, readFile, share }) => {
  const { sops: path = '', key } = named.source;
  try {
    const file = await share(`parsed ${path}`, async () => parseSopsFile(await readFile(path)));
    const found = findValue(file, key === undefined ? undefined : (parseSopsKey(key) ?? []));
    const { text } = found.value;
    const decrypt = async () => {
      try {
        const verified = await share(`verified ${path}`, () => verify(file, identities));
        return verified.open(found);
      } catch (error) {
        throw explain(named, path, error, identities);
      }
    };
    // What is not encrypted is verified, too.
    return { stored: Buffer.from(text), decrypt, isCiphertext: isSealed(text) };
  } catch (error) {
    throw explain(named, path, error, identities);
  }
};

async function verify(file: SopsFile, identities: Identities | undefined): Promise<VerifiedSopsFile> {
  if (identities === undefined) throw new TypeError('nothing is decrypted without identities');
  return new VerifiedSopsFile(file, await openDataKey(file.metadata, await identities.list()));
}

function explain(
  named: NamedSource,
  path: string,
  cause: unknown,
  identities: Identities | undefined,
): unknown {
  if (cause instanceof SopsFileError)
    return sourceFailure(
      cause.code,
      named,
      `${path} ${cause.message}${cause.message.endsWith('?') ? '' : '.'}`,
      { path, cause },
    );
  if (!(cause instanceof AgeFileError) || identities === undefined) return cause;
  const { code, text } = explainAgeFailure(cause, identities);
  return sourceFailure(code, named, `${path} ${text}`, { path, cause });
}
