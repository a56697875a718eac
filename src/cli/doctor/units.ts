// Whether systemd knows the units of vmsecretd, and starts them with the host.
import { execa } from 'execa';
import { type Finding, fine, warning, wrong } from './finding.js';

const UNITS = [
  'vmsecretd.service',
  'vmsecretd.socket',
  'vmsecretd-admin.socket',
  'vmsecretd-api@.socket',
  'microvm@.service',
];

/** @param systemctl its name, or its path */
export async function checkUnits(systemctl: string): Promise<Finding[]> {
  const { failed, exitCode, code, stdout } = await execa(
    systemctl,
    ['list-unit-files', '--no-legend', '--plain', ...UNITS],
    {
      reject: false,
      stdin: 'ignore',
      timeout: 10_000,
    },
  );
  const check = 'units';
  if (exitCode === undefined && code !== undefined)
    return [wrong(check, `${systemctl} cannot be run (${code})`, 'add the folder that has it to PATH')];
  const states = new Map(
    (failed ? '' : stdout).split('\n').map(line => line.split(/\s+/) as [string, string]),
  );
  const missing = UNITS.filter(unit => !states.has(unit));
  if (missing.length > 0)
    return [wrong(check, `systemd does not know ${missing.join(', ')}`, 'sudo systemd/install.sh')];
  const inState = (state: string) => UNITS.filter(unit => states.get(unit) === state);
  const [masked, disabled] = [inState('masked'), inState('disabled').filter(unit => !unit.includes('@'))];
  if (masked.length > 0)
    return [wrong(check, `masked: ${masked.join(', ')}`, `systemctl unmask ${masked.join(' ')}`)];
  if (disabled.length === 0) return [fine(check, UNITS.join(', '))];
  return [
    warning(
      check,
      `not started with the host: ${disabled.join(', ')}`,
      `systemctl enable ${disabled.join(' ')}`,
    ),
  ];
}
