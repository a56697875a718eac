// How a kind of source is read. One file a kind, in the table of readers.ts.
import type { CredentialSource } from '../../definition/definition.js';
import { type ErrorCode, VmsecretdError } from '../../errors.js';
import type { Identities } from '../identities.js';

/** The source of a credential, and whose it is. */
export interface NamedSource {
  vm: string;
  credential: string;
  source: CredentialSource;
}

export interface ReadTools {
  /** Absent where sources are compared only: nothing is decrypted then. */
  identities: Identities | undefined;
  /** What a VM is called by a service that a socket leads to. */
  unit: string;
  /** The file's content in a buffer of its own. @throws VmsecretdError */
  readFile(path: string): Promise<Buffer>;
  /** One result for all sources of a VM that ask with the same name. Where it has `wipe`, that is called at the end. */
  share<Result>(name: string, make: () => Promise<Result>): Promise<Result>;
}

/** What a source has. Whoever loaded it wipes it. */
export interface Loaded {
  /** The value, or the ciphertext of it: what tells a change. */
  stored: Buffer;
  isCiphertext: boolean;
  /** Absent where `stored` is the value as it is delivered. @returns a buffer of its own */
  decrypt?: () => Promise<Buffer>;
}

/** @throws VmsecretdError that names the VM, the credential and the source, and says nothing about the value */
export type SourceReader = (named: NamedSource, tools: ReadTools) => Promise<Loaded>;

export interface FailureOptions {
  cause?: unknown;
  /** The path that the failure is of. */
  path?: string;
  /** For root alone; see VmsecretdError.words. */
  words?: string | undefined;
}

/** @param what begins with its subject: the path of the file, the program */
export function sourceFailure(
  code: ErrorCode,
  { vm, credential }: Pick<NamedSource, 'vm' | 'credential'>,
  what: string,
  { path, ...options }: FailureOptions = {},
): VmsecretdError {
  const details = { vm, credential, ...(path === undefined ? {} : { path }) };
  return new VmsecretdError(code, `VM ${vm}, credential ${credential}: ${what}`, { details, ...options });
}
