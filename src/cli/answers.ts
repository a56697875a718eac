// What the daemon answers, as vmsecretctl reads it. The daemon may be newer: keys that are new are passed over, and what is one
// of several words here may be another.
import type { Static } from 'typebox';
import type { CheckReportSchema, VmListSchema, VmSchema } from '../http/schemas.js';
import type { Check, Tolerant } from '../json-check.js';
import { CliError, EXIT } from './client.js';

export type VmAnswer = Tolerant<Static<typeof VmSchema>>;
export type VmListAnswer = Tolerant<Static<typeof VmListSchema>>;
export type CheckAnswer = Tolerant<Static<typeof CheckReportSchema>>;

/** @throws CliError: it is none that this version knows */
export function understand<Answer>(json: unknown, isAnswer: Check<Answer>): Answer {
  if (isAnswer(json)) return json;
  throw new CliError(
    'the daemon answers as no vmsecretd does that this vmsecretctl knows; install the same version of both (vmsecretctl doctor shows them)',
    EXIT.failed,
  );
}
