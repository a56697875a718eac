// Scenario 7: what does not fit must not boot, and the error says so.

import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { VmsecretdError } from '../../../../src/errors.js';
import type { BootGuest } from '../guest.js';
import { ageSecret } from './scenario.js';

/** 100 KB do not fit: the error names the credential and says what to do. */
export async function checkOversizedSecret(t: Test, boot: BootGuest): Promise<void> {
  const secrets = new Map([['TOO_LARGE', ageSecret(randomBytes(100_000))]]);
  const error = await boot({ vm: 'oversized', secrets, files: [] }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  t.ok(error instanceof VmsecretdError, 'the daemon refuses the start');
  t.match(error, { code: 'credentials_too_large', message: /TOO_LARGE/ });
}
