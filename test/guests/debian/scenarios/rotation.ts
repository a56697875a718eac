// Scenario 5: the file changes, the VM is booted again, and the guest has the new value and nothing of the old one.

import type { Test } from 'tap';
import { expectedFile, parseConsole } from '../console-report.js';
import type { BootGuest } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { ageSecret, printCredentials } from './scenario.js';

const files = consoleUnit('rotated-app', {
  service: ['LoadCredential=ROTATED', printCredentials('rotated')],
});

/** The booter sees the same VM twice: the daemon's must find it outdated in between and restart it. */
export async function checkRotation(t: Test, boot: BootGuest): Promise<void> {
  for (const value of ['before the rotation', 'after']) {
    const outcome = await boot({ vm: 'rotation', secrets: new Map([['ROTATED', ageSecret(value)]]), files });
    t.strictSame(
      parseConsole(outcome.console).files.rotated,
      { ROTATED: expectedFile(Buffer.from(value)) },
      value,
    );
    t.strictSame(outcome.receipt, { status: 'verified' });
  }
}
