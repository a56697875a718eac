import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { VmPaths } from '../../src/hypervisor/hypervisor.js';
import { attachToVmm, endRecordedVmm } from '../../src/recovery/adoption.js';
import { readProcess } from '../../src/system/procfs.js';

/** A process whose API socket is gone by the time that it is looked at. */
async function attach(t: Test) {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  t.teardown(() => child.kill('SIGKILL'));
  const { pid = 0 } = child;
  const { startTimeTicks = 0 } = (await readProcess(pid)) ?? {};
  const kill = (name: NodeJS.Signals) => void child.kill(name);
  return { child, vmm: attachToVmm({ pid, startTimeTicks, apiSocket: join(t.testdir(), 'api.sock'), kill }) };
}

test('a VMM that we killed did not end by itself, though its socket is gone', async t => {
  const { vmm } = await attach(t);
  vmm.kill('SIGKILL');
  t.match(await vmm.exited, { status: null, signal: 'SIGKILL' });
});

test('one whose socket is gone, and that nobody killed, ended by itself', async t => {
  const { child, vmm } = await attach(t);
  child.kill('SIGTERM');
  t.match(await vmm.exited, { status: 0, signal: null });
});

test('drops the record of a VMM whose pid somebody got who is not to be looked at', async t => {
  // Init: another user's, or closed to root in a sandbox.
  const record = join(t.testdir({ 'web.json': JSON.stringify({ pid: 1, startTimeTicks: 7 }) }), 'web.json');
  await endRecordedVmm({ paths: { record, directory: '/run/vmsecretd/vms/web' } as VmPaths });
  t.notOk(existsSync(record));
});
