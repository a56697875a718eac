import type { ErrorCode } from '../../errors.js';

/** Why a sops file, or the value that is asked for, cannot be had. The message is a clause about the file, without its path. */
export class SopsFileError extends Error {
  override readonly name = 'SopsFileError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Nothing of the content is quoted: a plain file that was named by mistake is a secret. */
export function damaged(why: string): SopsFileError {
  return new SopsFileError('secret_corrupt', `does not open: ${why}`);
}
