// Every error an operator can meet: its stable code, its HTTP status and its title, in one table.
// docs/errors.md explains each; test/project/errors.test.ts holds the two together.

export const ERROR_TABLE = {
  request_invalid: { status: 400, title: 'The request is not valid' },
  forbidden: { status: 403, title: 'This socket does not allow that' },
  vm_unknown: { status: 404, title: 'There is no such VM' },
  method_not_allowed: { status: 405, title: 'The URL does not take that method' },
  state_conflict: { status: 409, title: 'The VM is in a state that does not allow that' },
  resource_conflict: { status: 409, title: 'Something the VM needs is missing or in use' },
  definition_from_file: { status: 409, title: 'The definition belongs to a file' },
  precondition_failed: { status: 412, title: 'The definition is another than the request expects' },
  definition_invalid: { status: 422, title: 'The definition is not valid' },
  command_invalid: { status: 422, title: 'The command line is not valid' },
  needs_file_descriptors: { status: 422, title: 'The command line passes open file descriptors' },
  secret_missing: { status: 422, title: 'A secret is missing' },
  secret_unreadable: { status: 422, title: 'A secret cannot be read' },
  secret_no_identity: { status: 422, title: 'No identity opens a secret' },
  secret_corrupt: { status: 422, title: 'A secret is damaged' },
  secret_too_large: { status: 422, title: 'A secret is too large' },
  credential_name_invalid: { status: 422, title: 'A credential name is not valid' },
  credential_duplicate: { status: 422, title: 'A credential is there twice' },
  credentials_too_large: { status: 422, title: 'The credentials do not fit' },
  credentials_too_many: { status: 422, title: 'There are too many OEM strings' },
  architecture_unsupported: { status: 422, title: 'This architecture has no OEM strings' },
  vmm_missing: { status: 502, title: 'The hypervisor cannot be run' },
  vmm_refused: { status: 502, title: 'The hypervisor refused' },
  supervisor_failed: { status: 502, title: 'The supervisor failed' },
  refresh_failed: { status: 502, title: 'The guest did not take the new secrets' },
  vmm_timeout: { status: 504, title: 'The hypervisor did not answer in time' },
  ready_timeout: { status: 504, title: 'The guest was not ready in time' },
  busy: { status: 503, title: 'The daemon has too much to do' },
  internal: { status: 500, title: 'Something went wrong inside vmsecretd' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERROR_TABLE;
export const ERROR_CODES = Object.keys(ERROR_TABLE) as ErrorCode[];

/** Facts beside the message, for programs: names, paths, numbers. Never a secret value. */
export type ErrorDetails = Record<string, string | number | boolean | string[]>;

/**
 * What was refused, for which VM, credential, file or flag, and what would be accepted.
 * The message is shown to operators as it is, so it never quotes a secret value.
 */
export class VmsecretdError extends Error {
  override readonly name = 'VmsecretdError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  /** Private, so that no log that writes down an error has it. */
  readonly #words: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
    this.#words = options.words || undefined;
  }

  /** What a VMM or a program said, which may be a secret that it was given: for root alone, and for no log. */
  get words(): string | undefined {
    return this.#words;
  }

  get messageForRoot(): string {
    return addWords(this.message, this.#words);
  }
}

interface ErrorOptions {
  details?: ErrorDetails;
  cause?: unknown;
  /** See `VmsecretdError.words`. */
  words?: string | undefined;
}

export function addWords(message: string, words: string | undefined): string {
  return words === undefined ? message : `${message}: ${words}`;
}

/** Told by what knows a command line and not whose it is. @param path the file that it stands in */
export function nameVm(error: unknown, vm: string, path?: string): unknown {
  if (!(error instanceof VmsecretdError) || error.details.vm !== undefined) return error;
  const place = path === undefined ? `VM ${vm}` : `VM ${vm}: ${path}`;
  const details = { ...error.details, vm, ...(path === undefined ? {} : { path }) };
  return new VmsecretdError(error.code, `${place}: ${error.message}`, {
    details,
    cause: error,
    words: error.words,
  });
}

/** The `code` of a Node.js system error such as ENOENT, or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
