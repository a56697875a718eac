// Whether systemd knows the units of vmsecretd.
import { execa } from 'execa';
import { type Finding, fine, wrong } from './finding.js';

const UNITS = [
  'vmsecretd.service',
  'vmsecretd.socket',
  'vmsecretd-admin.socket',
  'vmsecretd-launch.socket',
  'microvm@.service',
];

export async function checkUnits(systemctl: string): Promise<Finding> {
  const { failed, stdout } = await execa(systemctl, ['list-unit-files', '--no-legend', '--plain', ...UNITS], {
    reject: false,
    stdin: 'ignore',
    timeout: 10_000,
  });
  const known = new Set(stdout?.split('\n').map(line => line.split(/\s/)[0]));
  const missing = UNITS.filter(unit => !known.has(unit));
  if (!failed && missing.length === 0) return fine('units', UNITS.join(', '));
  return wrong('units', `systemd does not know ${missing.join(', ')}`, 'sudo systemd/install.sh');
}
