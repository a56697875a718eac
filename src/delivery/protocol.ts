// The messages of schemas.ts as types.
import type { Static } from 'typebox';
import type {
  CheckResultSchema,
  DelivererMessageSchema,
  DelivererRequestSchema,
  FailureSchema,
  PackagingSchema,
  PreparationResultSchema,
  PreparationSchema,
  PreparedCredentialSchema,
  ServeResultSchema,
  ServingSchema,
} from './schemas.js';

/** The daemon may be older than the program it forks, when vmsecretd was upgraded and not restarted. */
export const PROTOCOL_VERSION = 1;

export type Packaging = Static<typeof PackagingSchema>;
export type Preparation = Static<typeof PreparationSchema>;
export type PreparedCredential = Static<typeof PreparedCredentialSchema>;
export type PreparationResult = Static<typeof PreparationResultSchema>;
export type CheckResult = Static<typeof CheckResultSchema>;
export type Serving = Static<typeof ServingSchema>;
export type ServeResult = Static<typeof ServeResultSchema>;
export type Failure = Static<typeof FailureSchema>;
export type DelivererRequest = Static<typeof DelivererRequestSchema>;
export type DelivererMessage = Static<typeof DelivererMessageSchema>;
export type DelivererResult = Extract<DelivererMessage, { ok: true }>['result'];
