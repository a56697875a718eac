// Errors as application/problem+json (RFC 9457) with a stable `code`.
import { ERROR_TABLE, VmsecretdError } from '../errors.js';

export const PROBLEM_TYPE = 'application/problem+json';

export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  [fact: string]: unknown;
}

/** @param isForRoot whether it may have what a VMM said */
export function buildProblem(error: VmsecretdError, isForRoot: boolean): ProblemDocument {
  const { status, title } = ERROR_TABLE[error.code];
  return {
    ...error.details,
    type: `urn:vmsecretd:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: isForRoot ? error.messageForRoot : error.message,
  };
}

/** An unknown throw says nothing of itself: its text may hold anything. */
export function internalError(requestId: string): VmsecretdError {
  return new VmsecretdError(
    'internal',
    `Something went wrong inside vmsecretd; its log has more under request ${requestId}`,
    { details: { requestId } },
  );
}
