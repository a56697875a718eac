// Reads the file that a source names: bounded, a regular file, of one generation with the VM's other files.
import { systemErrorCode, type VmsecretdError } from '../../errors.js';
import type { FoundPlace } from '../../system/find-together.js';
import { explainReadError, ReadRefusedError, readRegularFile } from '../../system/read-regular-file.js';
import { explainHidden } from '../../system/sandbox.js';
import { type NamedSource, sourceFailure } from './reader.js';

/** design.md's limit for one source, encrypted or not: systemd takes no more for all credentials together. */
export const SOURCE_LIMIT_BYTES = 1024 * 1024;

type Owner = Pick<NamedSource, 'vm' | 'credential'>;

/** @throws VmsecretdError secret_missing, secret_unreadable, secret_too_large */
export async function readStoredFile(
  owner: Owner,
  path: string,
  place: FoundPlace | undefined,
): Promise<Buffer> {
  try {
    return await readRegularFile(path, { limitBytes: SOURCE_LIMIT_BYTES, place });
  } catch (error) {
    throw explainFileError(owner, path, error) ?? error;
  }
}

const READ_REMEDIES: Record<string, string> = {
  ENOENT: 'Create it, or correct its path.',
  ENOTDIR: 'Create it, or correct its path.',
  ELOOP: 'Make the link lead to a file.',
};

/** Undefined for what is no error of a file. */
export function explainFileError(owner: Owner, path: string, error: unknown): VmsecretdError | undefined {
  if (error instanceof ReadRefusedError) {
    const code = error.refusal === 'too_large' ? 'secret_too_large' : 'secret_unreadable';
    return sourceFailure(code, owner, `${path} is refused: ${error.message}.`, { path, cause: error });
  }
  const [code, why] = [systemErrorCode(error), explainReadError(error)];
  if (code === undefined || why === undefined) return undefined;
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
  const remedy = READ_REMEDIES[code] ?? "Let the daemon's user read it.";
  const hidden = isMissing ? explainHidden(path) : '';
  return sourceFailure(
    isMissing ? 'secret_missing' : 'secret_unreadable',
    owner,
    `${path} ${why}. ${remedy}${hidden}`,
    { path, cause: error },
  );
}
