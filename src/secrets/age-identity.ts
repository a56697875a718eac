// What every kind of identity has in common, and the one failure they and the file format report.

import type { Stanza } from 'age-encryption';

/** The stanza types we open ourselves; for a plugin the program's name says more. */
export type IdentityKind = 'X25519' | 'mlkem768x25519' | 'ssh-ed25519' | 'ssh-rsa' | 'scrypt' | 'plugin';

/** One private key. The same interface as the age-encryption package's `Identity`, plus what we need to tell people. */
export interface AgeIdentity {
  readonly kind: IdentityKind;
  /** The file it came from, and for a plugin its name: for error messages. */
  readonly origin: string;
  /** Tried after all others: it takes bcrypt's time, or runs a program. */
  readonly isCostly?: boolean;
  /**
   * Null when no stanza is meant for this key; throws AgeFileError when one is and is malformed.
   * `header` is what the stanzas were read from.
   */
  unwrapFileKey(stanzas: Stanza[], header: Buffer): Buffer | null | Promise<Buffer | null>;
  wipe(): void;
}

export type AgeFileProblem =
  | 'not_age'
  | 'unsupported_version'
  | 'armor'
  | 'header'
  | 'header_mac'
  | 'payload'
  | 'truncated'
  | 'work_factor'
  | 'recipients'
  | 'key_locked'
  | 'plugin_failed'
  | 'passphrase'
  | 'no_match';

/** Why a file does not open. The message is a clause about "it", the file, without a path. */
export class AgeFileError extends Error {
  override readonly name = 'AgeFileError';
  readonly problem: AgeFileProblem;
  /** Stanza types of the file, where its header could be read. */
  readonly recipientTypes: readonly string[];
  /** What to do about this very file, where more is known than its problem: a sentence without capital and full stop. */
  readonly advice: string | undefined;

  constructor(
    problem: AgeFileProblem,
    message: string,
    { recipientTypes = [], advice }: { recipientTypes?: readonly string[]; advice?: string | undefined } = {},
  ) {
    super(message);
    this.problem = problem;
    this.recipientTypes = recipientTypes;
    this.advice = advice;
  }
}
