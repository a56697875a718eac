// Scenarios 5 and 6, in the life of one VM: no boot while its secret is missing, a boot once it is there, and after the file
// changed a restart, with the new value and nothing of the old one.

import type { Test } from 'tap';
import { expectedFile, parseConsole } from '../console-report.js';
import type { BootGuest, GuestRequest, GuestSecret } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { ageSecret, printCredentials } from './scenario.js';

const files = consoleUnit('rotated-app', {
  service: ['LoadCredential=ROTATED', printCredentials('rotated')],
});

function requestWith(secret: GuestSecret): GuestRequest {
  return { vm: 'rotation', secrets: new Map([['ROTATED', secret]]), files };
}

/** @param values before and after */
export async function checkMissingThenRotated(
  t: Test,
  boot: BootGuest,
  values: readonly string[],
): Promise<void> {
  await t.rejects(boot(requestWith({ bytes: null, source: 'age' })), {
    code: 'secret_missing',
    message: /ROTATED/,
  });
  for (const [index, value] of values.entries()) {
    const outcome = await boot(requestWith(ageSecret(value)));
    t.strictSame(
      parseConsole(outcome.console).files.rotated,
      { ROTATED: expectedFile(Buffer.from(value)) },
      index === 0 ? 'once it is there' : 'after the rotation',
    );
    t.equal(outcome.receipt, 'verified');
  }
}
