// Scenario 2: an application's key and password from files as sops-nix and clan leave them, under names of the unit's own.

import { expectedFile } from '../console-report.js';
import type { GuestSecret } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { delivered, printCredentials, type SharedBootScenario } from './scenario.js';

const secrets = new Map<string, GuestSecret>([
  ['API_KEY', { bytes: Buffer.from('sk-test-0123456789\n'), source: 'file', trim: 'newline' }],
  [
    'DB_PASSWORD',
    { bytes: Buffer.from('correct horse\nbattery staple\r\n'), source: 'file', trim: 'newline' },
  ],
]);

export const myApp: SharedBootScenario = {
  title: 'a unit loads API_KEY and DB_PASSWORD under its own names, less one trailing newline',
  secrets,
  oemStrings: [],
  files: consoleUnit('my-app', {
    service: [
      'LoadCredential=api-key:API_KEY',
      'LoadCredential=db-pass:DB_PASSWORD',
      printCredentials('my-app'),
    ],
  }),
  check: (t, report) => {
    t.strictSame(report.files['my-app'], {
      'api-key': expectedFile(delivered(secrets, 'API_KEY')),
      'db-pass': expectedFile(delivered(secrets, 'DB_PASSWORD')),
    });
  },
};

/** The same application where the guest's systemd has ImportCredential= (254 and later). */
export const myAppImported: SharedBootScenario = {
  title: 'a unit imports credentials by a glob',
  secrets: new Map([
    ['imported.one', { bytes: Buffer.from('1'), source: 'age' }],
    ['imported.two', { bytes: Buffer.from('2'), source: 'age' }],
  ]),
  oemStrings: [],
  files: consoleUnit('my-app-imported', {
    service: ['ImportCredential=imported.*', printCredentials('imported')],
  }),
  check: (t, report) => {
    t.strictSame(report.files.imported, {
      'imported.one': expectedFile(Buffer.from('1')),
      'imported.two': expectedFile(Buffer.from('2')),
    });
  },
};
