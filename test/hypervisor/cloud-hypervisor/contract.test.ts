// The contract on the stand-in, and on the real programs that are there; then the failures that only the stand-in has.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { test } from 'tap';
import { REFERENCE_RELEASE } from '../../../src/hypervisor/cloud-hypervisor/release.js';
import { realPrograms } from '../../setup/cloud-hypervisors.js';
import { whyNoKvm } from '../../setup/programs.js';
import { standIn } from '../../setup/project-root.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { testContract } from './contract.js';
import { startVmm } from './vmm-under-test.js';

const STAND_IN = standIn('cloud-hypervisor');

testContract({ name: 'the stand-in', program: STAND_IN, release: REFERENCE_RELEASE, skip: false });
const reals = realPrograms();
// Some wait seconds for what no event tells.
t.setTimeout(120_000 * (1 + reals.length));
for (const real of reals) testContract({ ...real, skip: real.skip || whyNoKvm() });

test('with kernel exits-early the stand-in ends at vm.boot, unanswered', async t => {
  const vmm = await startVmm(t, STAND_IN);
  await vmm.put('vm.create', vmm.configOf('stay', ['a'], 'exits-early'));
  await t.rejects(vmm.put('vm.boot'), { code: 'ECONNRESET' });
  t.strictSame(await vmm.exit, [1, null]);
});

test('with kernel refuses-boot the stand-in answers vm.boot with 500 and stays', async t => {
  const vmm = await startVmm(t, STAND_IN);
  await vmm.put('vm.create', vmm.configOf('stay', ['a'], 'refuses-boot'));
  t.match(await vmm.put('vm.boot'), { status: 500, body: ['Error from API', 'The VM could not boot', /./] });
  t.equal((await vmm.get('vmm.ping')).status, 200);
});

test('with kernel hangs-on-boot the stand-in answers other requests, not vm.boot', async t => {
  const vmm = await startVmm(t, STAND_IN);
  await vmm.put('vm.create', vmm.configOf('stay', ['a'], 'hangs-on-boot'));
  const boot = vmm.put('vm.boot').then(
    () => 'answered',
    () => 'cut off',
  );
  t.equal((await vmm.get('vmm.ping')).status, 200);
  vmm.child.kill('SIGKILL');
  t.equal(await boot, 'cut off');
});

test('with kernel hangs-on-stop only SIGKILL ends the stand-in', async t => {
  const vmm = await startVmm(t, STAND_IN);
  await vmm.put('vm.create', vmm.configOf('await-power-button', ['a'], 'hangs-on-stop'));
  await vmm.put('vm.boot');
  t.equal((await vmm.put('vm.power-button')).status, 204);
  t.equal((await vmm.put('vmm.shutdown')).status, 200);
  vmm.child.kill('SIGTERM');
  t.match(await vmm.get('vm.info'), { body: { state: 'Running' } });
  vmm.child.kill('SIGKILL');
  t.strictSame(await vmm.exit, [null, 'SIGKILL']);
});

test('as refuses-create the stand-in answers vm.create with 400 that quotes the last OEM string', async t => {
  const vmm = await startVmm(t, standIn('refuses-create'));
  const { status, body } = await vmm.put('vm.create', vmm.configOf('stay', ['a', 'S3CR3T']));
  t.equal(status, 400);
  t.match(body, ['Failed to deserialize JSON', /"S3CR3T"/]);
});

test('as never-listens the stand-in runs and makes no socket', async t => {
  const socket = join(socketFolder(t), 'api.sock');
  const child = spawn(standIn('never-listens'), ['--api-socket', socket], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  t.notOk(existsSync(socket));
  child.kill('SIGTERM');
  await once(child, 'exit');
  t.notOk(existsSync(socket));
});
