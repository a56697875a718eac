// Scenario 3: values and names that a careless path would change: NULs, line endings, size, emptiness, dots, and 40 at once.

import { randomBytes } from 'node:crypto';
import { expectedFile } from '../console-report.js';
import type { GuestSecret } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { ageSecret, delivered, printCredentials, type SharedBootScenario } from './scenario.js';

const PEM_CHAIN = ['leaf', 'intermediate', 'root']
  .map(
    name =>
      `-----BEGIN CERTIFICATE-----\n${Buffer.from(name.repeat(90)).toString('base64')}\n-----END CERTIFICATE-----\n`,
  )
  .join('');

const SPECIAL: [string, GuestSecret][] = [
  ['NULS', ageSecret(Buffer.from([0, 1, 0, 0, 255, 0]))],
  ['CRLF', ageSecret('one\r\ntwo\r\n\r\n')],
  ['RANDOM_20_KB', ageSecret(randomBytes(20_000))],
  ['PEM_CHAIN', ageSecret(PEM_CHAIN)],
  ['EMPTY', ageSecret('')],
  ['UTF8', ageSecret('pässwörd 🔑 秘密')],
  ['tls.server.key.v1', ageSecret('dots')],
  ['.hidden', ageSecret('a name that begins with a dot')],
  ['odd name (1) "50%" $HOME', ageSecret('printable, and no less a name')],
];
const MANY = Array.from({ length: 40 - SPECIAL.length }, (_, index): [string, GuestSecret] => [
  `MANY_${index}`,
  ageSecret(randomBytes(32)),
]);
const secrets = new Map([...SPECIAL, ...MANY]);

// A unit file has its own quoting for blanks and percent signs, so that name is checked in the system's folder alone.
const loadable = [...secrets.keys()].filter(name => !name.includes(' '));

export const binaryValues: SharedBootScenario = {
  title:
    '40 credentials arrive byte for byte: NULs, CR LF, 20 KB, a PEM chain, none at all, UTF-8, dots in names',
  secrets,
  oemStrings: [],
  files: [
    ...consoleUnit('binary-values', {
      service: [...loadable.map(name => `LoadCredential=${name}`), printCredentials('binary')],
    }),
    ...consoleUnit('system-credentials', {
      service: ['ExecStart=/usr/lib/vmsecretd-test/print-digests system /run/credentials/@system'],
    }),
  ],
  check: (t, report) => {
    const expected = (name: string) => [name, expectedFile(delivered(secrets, name))] as const;
    t.strictSame(report.files.binary, Object.fromEntries(loadable.map(expected)), 'in the unit');
    for (const name of secrets.keys()) t.strictSame(report.files.system?.[name], expected(name)[1], name);
  },
};
