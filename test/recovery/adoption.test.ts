import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Test, test } from 'tap';
import { attachToVmm, endRecordedVmm } from '../../src/recovery/adoption.js';
import { readProcess } from '../../src/system/procfs.js';
import { writeRecord } from '../../src/vm/record.js';
import { defineVm, makeEvents, makeRecords, makeVm, recordOf, recordPath } from '../vm/vm-for-test.js';

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
  const folder = t.testdir({});
  const record = recordPath(folder, 'web.json');
  const vm = makeVm(folder, defineVm('web', {}));
  mkdirSync(dirname(record));
  writeFileSync(record, writeRecord(recordOf(vm, { pid: 1, startTimeTicks: 7 })));
  await endRecordedVmm(
    'web',
    makeRecords(folder, makeEvents(), () => vm),
  );
  t.notOk(existsSync(record));
});
