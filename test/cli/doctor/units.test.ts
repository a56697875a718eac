import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkUnits } from '../../../src/cli/doctor/units.js';

const UNITS = ['vmsecretd.service', 'vmsecretd.socket', 'vmsecretd-admin.socket'];
const TEMPLATES = ['vmsecretd-api@.socket', 'microvm@.service'];

/** A systemctl that knows units in these states. */
function systemctlWith(t: Test, states: Record<string, string>, exitStatus = 0): string {
  const lines = Object.entries(states).map(([unit, state]) => `echo '${unit} ${state} enabled'`);
  const folder = t.testdir({ systemctl: `#!/bin/sh\n${lines.join('\n')}\nexit ${exitStatus}\n` });
  chmodSync(join(folder, 'systemctl'), 0o755);
  return join(folder, 'systemctl');
}
const enabled = Object.fromEntries([...UNITS, ...TEMPLATES].map(unit => [unit, 'enabled']));

t.test('is content with units that are enabled, and templates that are not', async t => {
  const found = await checkUnits(
    systemctlWith(t, { ...enabled, 'microvm@.service': 'disabled', 'vmsecretd-api@.socket': 'static' }),
  );
  t.match(found, [{ level: 'ok' }]);
});

t.test('names units that are missing, masked or not started with the host', async t => {
  const { 'vmsecretd.socket': _, ...rest } = enabled;
  t.match(await checkUnits(systemctlWith(t, rest)), [
    { level: 'wrong', detail: 'systemd does not know vmsecretd.socket', fix: 'sudo systemd/install.sh' },
  ]);
  t.match(await checkUnits(systemctlWith(t, { ...enabled, 'vmsecretd.socket': 'masked' })), [
    { level: 'wrong', fix: 'systemctl unmask vmsecretd.socket' },
  ]);
  t.match(await checkUnits(systemctlWith(t, { ...enabled, 'vmsecretd.service': 'disabled' })), [
    { level: 'warning', fix: 'systemctl enable vmsecretd.service' },
  ]);
  t.match(await checkUnits(systemctlWith(t, {}, 1)), [{ level: 'wrong', detail: /vmsecretd\.service,/ }]);
});

t.test('a systemctl that cannot be run is not a host without units', async t => {
  t.match(await checkUnits(join(t.testdir(), 'systemctl')), [
    { level: 'wrong', detail: /systemctl cannot be run \(ENOENT\)/ },
  ]);
});
