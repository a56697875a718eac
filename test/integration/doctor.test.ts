// vmsecretctl doctor against a real daemon: each thing that is wrong is found, with its fix.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Finding } from '../../src/cli/doctor/finding.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN, standIn } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('doctor finds what is wrong, and says the fix', options, async (t, rig) => {
  const { daemon } = rig;
  const config = join(daemon.folder, 'doctor.json');
  const definitions = join(daemon.folder, 'doctor-vms');
  const open = join(daemon.folder, 'open-key.txt');
  const examine = async () => {
    const { status, stdout } = await daemon.ctl(
      '--json',
      'doctor',
      '--config',
      config,
      '--definitions',
      definitions,
    );
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
    t.equal(status, ok ? 0 : 1, 'the status says it, too');
    return (check: string) => findings.filter(finding => finding.check === check);
  };
  mkdirSync(definitions);
  writeFileSync(config, JSON.stringify({ identities: [] }));
  await defineVm(STAND_IN, rig, 'web');
  const healthy = await examine();
  t.match(healthy('daemon'), [{ level: 'ok' }]);
  t.match(healthy('socket admin.sock'), [{ level: 'ok' }]);
  t.match(healthy('VM web'), [{ level: 'ok' }]);
  const own = JSON.parse((await daemon.ctl('--json', 'doctor')).stdout) as { findings: Finding[] };
  t.match(
    own.findings.filter(({ check }) => ['configuration', 'identity', 'definitions'].includes(check)),
    [
      { level: 'ok', detail: join(daemon.folder, 'config.json') },
      { level: 'ok', detail: join(daemon.folder, 'identity.txt') },
      { level: 'ok', detail: `0 files in ${daemon.definitions}` },
    ],
    'it asks the daemon where it looks',
  );

  writeFileSync(open, '');
  chmodSync(open, 0o644);
  writeFileSync(join(definitions, 'odd.json'), '{"comand": []}');
  chmodSync(daemon.socket('vmsecretd'), 0o666);
  const hypervisors = { 'cloud-hypervisor': { path: '/nowhere/ch' } };
  writeFileSync(config, JSON.stringify({ identities: [open, '/nowhere/key'], hypervisors }));
  await defineVm(STAND_IN, rig, 'web', { more: { credentials: { KEY: { file: '/nowhere/secret' } } } });
  await defineVm(STAND_IN, rig, 'shown', { more: { delivery: 'cmdline', supervisor: 'daemon' } });
  const identities = ['/nowhere/key', join(daemon.folder, 'identity.txt')];
  await defineVm(STAND_IN, rig, 'keyless', { more: { identities } });
  const ill = await examine();
  t.match(ill('identity'), [
    { level: 'wrong', fix: `chmod 600 ${open}` },
    { level: 'wrong', detail: '/nowhere/key does not exist' },
  ]);
  t.match(ill('definition'), [{ level: 'wrong', detail: /"comand".*"command"/ }]);
  t.match(ill('socket vmsecretd.sock'), [{ level: 'wrong', fix: /^chmod 660 / }]);
  t.match(ill('hypervisor'), [{ level: 'wrong', detail: /\/nowhere\/ch/ }]);
  t.match(ill('VM web'), [{ level: 'wrong', detail: /\/nowhere\/secret does not exist/ }]);
  t.match(ill('VM shown')[0], { level: 'warning', detail: /every user/ });
  t.match(ill('VM keyless'), [{ level: 'warning', detail: /^key file \/nowhere\/key does not exist$/ }]);

  writeFileSync(config, '{"identites": []}');
  t.match((await examine())('configuration'), [{ level: 'wrong', detail: /identites/ }]);
  const table = await daemon.ctl('doctor', '--config', config, '--definitions', definitions);
  t.match(table, { status: 1, stdout: /WRONG +configuration .*\n +→ correct / });
  await daemon.kill9();
  t.match((await examine())('daemon'), [{ level: 'wrong', detail: /ECONNREFUSED/ }]);
});

const program = standIn('cloud-hypervisor');
const environment = { PATH: `${dirname(program)}:${process.env.PATH}` };
daemonTest('doctor looks for programs where the daemon does', { environment }, async (t, { daemon }) => {
  const { findings } = JSON.parse((await daemon.ctl('--json', 'doctor')).stdout) as { findings: Finding[] };
  t.match(
    findings.find(({ check }) => check === 'hypervisor'),
    { level: 'ok', detail: program },
  );
});
