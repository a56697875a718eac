// What every test guest has beside its root filesystem: the project's guest/ parts, installed and enabled, and the test's own
// unit that says when boot is over. Given as cpio entries, so that a change to them rebuilds nothing.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.js';

const UNITS = 'usr/lib/systemd/system';

/** The console line after which a guest has nothing more to say. */
export const DONE_LINE = 'VMSECRETD-TEST done';

const PRINT_DIGESTS = `#!/bin/sh
# print-digests LABEL FOLDER: two console lines for each file, with its SHA-256, and its size, mode and owner.
cd "$2" || exit 1
find -L . -type f -exec sha256sum {} + | sed -u "s/^/VMSECRETD-TEST sha256 $1 /"
find -L . -type f -exec stat -L -c '%s %a %U %G %n' {} + | sed -u "s/^/VMSECRETD-TEST stat $1 /"
`;

const DONE = `#!/bin/sh
for unit in $(systemctl --failed --plain --no-legend | cut -d ' ' -f 1); do
  printf 'VMSECRETD-TEST failed %s\\n' "$unit"
  journalctl -q -o cat -u "$unit" | sed 's/^/VMSECRETD-TEST journal /'
done
echo '${DONE_LINE}'
`;

/** The project's `guest/` folder as `guest/install.sh` installs it. */
export function portableGuestFiles(guestFolder: string): CpioEntry[] {
  return readdirSync(guestFolder).flatMap((name): CpioEntry[] => {
    const content = readFileSync(join(guestFolder, name), 'utf8');
    if (/\.(service|socket)$/.test(name)) return unitFiles(name, content);
    if (name.startsWith('vmsecretd-'))
      return [{ path: `usr/lib/vmsecretd-guest/${name}`, content, mode: 0o755 }];
    return [];
  });
}

/** The test's own parts: `print-digests`, and the unit that prints {@link DONE_LINE} when everything else has started. */
export function testGuestFiles(): CpioEntry[] {
  return [
    { path: 'usr/lib/vmsecretd-test/print-digests', content: PRINT_DIGESTS, mode: 0o755 },
    { path: 'usr/lib/vmsecretd-test/done', content: DONE, mode: 0o755 },
    ...consoleUnit('vmsecretd-test-done', {
      unit: ['After=multi-user.target'],
      service: ['ExecStart=/usr/lib/vmsecretd-test/done'],
    }),
  ];
}

/** A oneshot unit of a scenario, started at boot, whose output is lines on the console. */
export function consoleUnit(
  name: string,
  lines: { readonly unit?: readonly string[]; readonly service: readonly string[] },
): CpioEntry[] {
  const content = [
    '[Unit]',
    ...(lines.unit ?? []),
    '[Service]',
    'Type=oneshot',
    'RemainAfterExit=yes',
    'StandardOutput=tty',
    'TTYPath=/dev/ttyS0',
    ...lines.service,
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
  return unitFiles(`${name}.service`, content);
}

/** The unit, and the link that enables it (none for a template: a scenario links its own instances). */
function unitFiles(name: string, content: string): CpioEntry[] {
  const target = /^WantedBy=(.+)$/m.exec(content)?.[1];
  const unit = { path: `${UNITS}/${name}`, content };
  if (target === undefined || name.includes('@.')) return [unit];
  return [unit, { path: `etc/systemd/system/${target}.wants/${name}`, symlink: `/${UNITS}/${name}` }];
}
