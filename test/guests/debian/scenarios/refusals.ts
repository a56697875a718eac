// Scenarios 6 and 7, for a booter that is the daemon: what must not boot, with the error that says so.

import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { VmsecretdError } from '../../../../src/errors.js';
import { expectedFile, parseConsole } from '../console-report.js';
import type { BootGuest, GuestRequest, GuestSecret } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { ageSecret, printCredentials } from './scenario.js';

/** No boot while the file is missing; once it is there, the same VM boots. */
export async function checkMissingSecret(t: Test, boot: BootGuest): Promise<void> {
  const request = (secret: GuestSecret): GuestRequest => ({
    vm: 'missing-secret',
    secrets: new Map([['API_KEY', secret]]),
    files: consoleUnit('needs-key', { service: ['LoadCredential=API_KEY', printCredentials('key')] }),
  });
  await t.rejects(boot(request({ bytes: null, source: 'age' })), {
    code: 'secret_missing',
    message: /API_KEY/,
  });
  const outcome = await boot(request(ageSecret('here now')));
  t.strictSame(parseConsole(outcome.console).files.key, { API_KEY: expectedFile(Buffer.from('here now')) });
}

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
