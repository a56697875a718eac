// What a file system refused, as somebody who can mend it understands it.
import { systemErrorCode, VmsecretdError } from '../errors.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left there; free some, then try again',
  EDQUOT: 'the quota there is used up; free some space, then try again',
  EROFS: 'its file system is read-only; mount it for writing, then try again',
  EACCES: 'the user of vmsecretd may not write there; correct its owner or mode, or name another directory',
  EMFILE: 'vmsecretd has as many files open as it may; raise LimitNOFILE= of its unit',
  ENFILE: 'this host has as many files open as it may; raise fs.file-max',
  EIO: 'its disk fails; look at dmesg',
};

/**
 * @param file what was written, where the error does not say
 * @returns resource_conflict for what a file system refused; everything else as it is
 */
export function explainStorageError(error: unknown, file?: string): unknown {
  const code = codeOf(error);
  const reason = code === undefined ? undefined : REASONS[code];
  if (reason === undefined) return error;
  const path = file ?? (error as NodeJS.ErrnoException).path ?? 'a file of vmsecretd';
  return new VmsecretdError('resource_conflict', `${path} cannot be used: ${reason} (${code})`, {
    details: { path },
    cause: error,
  });
}

/** Node's recursive mkdir says ENOENT where the kernel said EROFS. */
function codeOf(error: unknown): string | undefined {
  const code = systemErrorCode(error);
  const isMkdir = code === 'ENOENT' && (error as NodeJS.ErrnoException).syscall === 'mkdir';
  return isMkdir ? 'EROFS' : code;
}
