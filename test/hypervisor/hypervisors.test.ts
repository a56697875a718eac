import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createHypervisors } from '../../src/hypervisor/hypervisors.js';

const unused = () => Promise.reject(new Error('nothing is asked'));

t.test('a definition’s program is taken in place of the configuration’s', async t => {
  const folder = t.testdir({ configured: '#!/bin/sh\n', own: '#!/bin/sh\n' });
  const [configured, own] = [join(folder, 'configured'), join(folder, 'own')];
  for (const path of [configured, own]) chmodSync(path, 0o755);
  const programs = { 'cloud-hypervisor': { path: configured }, qemu: { path: configured } };
  for (const hypervisor of Object.values(createHypervisors(programs, '/nowhere', unused))) {
    t.equal(await hypervisor.locate(undefined), configured);
    t.equal(await hypervisor.locate(own), own);
    await t.rejects(hypervisor.locate(join(folder, 'missing')), {
      code: 'vmm_missing',
      message: /missing is not there or cannot be executed; install .*, or correct it in the definition/,
    });
  }
});

t.test('without both, the program is found on the search path', async t => {
  const folder = t.testdir({ 'cloud-hypervisor': '#!/bin/sh\n' });
  chmodSync(join(folder, 'cloud-hypervisor'), 0o755);
  const { 'cloud-hypervisor': hypervisor, qemu } = createHypervisors({}, folder, unused);
  t.equal(await hypervisor.locate(undefined), join(folder, 'cloud-hypervisor'));
  await t.rejects(qemu.locate(undefined), { message: /set hypervisors\.qemu\.path in config\.json/ });
});
