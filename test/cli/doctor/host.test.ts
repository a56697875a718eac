import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkHypervisors, checkSwap } from '../../../src/cli/doctor/host.js';
import { HYPERVISOR_KINDS, HYPERVISORS } from '../../../src/definition/hypervisor-kinds.js';

/** A folder of programs that print a version, as a PATH, with /dev/kvm in it or not. */
function hostWith(t: Test, programs: Record<string, string>) {
  const searchPath = t.testdir(
    Object.fromEntries(Object.entries(programs).map(([name, says]) => [name, `#!/bin/sh\necho ${says}\n`])),
  );
  for (const name of Object.keys(programs)) chmodSync(join(searchPath, name), 0o755);
  return { config: {}, searchPath, kvmPath: join(searchPath, 'kvm') };
}
const V53 = 'cloud-hypervisor v53.0';

t.test('asks for no cloud-hypervisor and no /dev/kvm where every definition is for QEMU', async t => {
  const host = hostWith(t, { 'qemu-system-x86_64': 'QEMU' });
  const findings = await checkHypervisors({ ...host, wanted: ['qemu', 'qemu'] });
  t.match(findings, [{ level: 'ok', detail: /qemu-system-x86_64$/ }]);
  t.equal(findings.length, 1);
});

t.test('takes any hypervisor where nothing is defined, and wants one', async t => {
  const qemu = await checkHypervisors({ ...hostWith(t, { 'qemu-system-x86_64': 'QEMU' }), wanted: [] });
  t.strictSame(
    qemu.map(({ level }) => level),
    ['ok'],
  );
  const none = await checkHypervisors({ ...hostWith(t, {}), wanted: [] });
  t.match(none, [{ level: 'wrong', detail: /no cloud-hypervisor in .*, and no qemu-system-x86_64 in / }]);
});

for (const kind of HYPERVISOR_KINDS) {
  t.test(`tells that ${kind} is wanted and missing`, async t => {
    const [finding] = await checkHypervisors({ ...hostWith(t, {}), wanted: [kind] });
    t.match(finding, { check: 'hypervisor', detail: `there is no program ${HYPERVISORS[kind].program}` });
    t.not(finding?.level, 'ok');
    const config = { hypervisors: { [kind]: { path: '/nowhere/own' } } };
    const [own] = await checkHypervisors({ ...hostWith(t, {}), config, wanted: [kind] });
    t.equal(own?.detail, 'there is no program /nowhere/own');
  });
}

t.test('wants what a definition needs: the program, its version, /dev/kvm', async t => {
  const wanted = ['cloud-hypervisor', 'qemu'];
  t.match(await checkHypervisors({ ...hostWith(t, {}), wanted }), [
    { check: 'hypervisor', level: 'wrong', detail: /^there is no program cloud-hypervisor in \// },
    { check: 'hypervisor', level: 'warning', detail: /^there is no program qemu-system-x86_64 in \// },
    { check: 'kvm', level: 'wrong', detail: /does not exist$/, fix: /load kvm_intel/ },
  ]);
  const current = hostWith(t, { 'cloud-hypervisor': V53, kvm: '' });
  t.match(await checkHypervisors({ ...current, wanted: ['cloud-hypervisor'] }), [
    { level: 'ok', detail: /version 53$/ },
    { check: 'kvm', level: 'ok' },
  ]);
  const old = hostWith(t, { 'cloud-hypervisor': 'cloud-hypervisor v40.0' });
  t.match((await checkHypervisors({ ...old, wanted: ['cloud-hypervisor'] }))[0], {
    level: 'warning',
    detail: /is version 40$/,
    fix: 'upgrade to 53 or later',
  });
});

t.test('names each swap area that the memory of VMs may be written to', async t => {
  const folder = t.testdir({
    none: 'Filename Type Size Used Priority\n',
    two: 'Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n/swapfile file 1 0 -3\n',
  });
  t.match(await checkSwap(join(folder, 'none')), { level: 'ok' });
  t.match(await checkSwap(join(folder, 'two')), { level: 'warning', detail: /to \/dev\/sda2, \/swapfile$/ });
});
