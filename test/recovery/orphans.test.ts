import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { endOrphans } from '../../src/recovery/orphans.js';
import { isSameProcess, readProcess } from '../../src/system/procfs.js';
import { writeRecord } from '../../src/vm/record.js';
import type { VmmId } from '../../src/vm/vmm-process.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeRecords, makeVm, recordOf, recordPath } from '../vm/vm-for-test.js';

const OURS = new Set([process.getuid?.() ?? 0]);

/** A process that waits, with any arguments; in a session of its own and with a log of ours, as a VMM is. */
async function spawnVmm(
  t: Test,
  runtimeDirectory: string,
  args: readonly string[],
  { detached = true, log: logName = 'lost.vmm.log' } = {},
) {
  const code = 'process.stderr.write("up"); process.stdin.resume()';
  mkdirSync(join(runtimeDirectory, 'logs'), { recursive: true });
  const log = openSync(join(runtimeDirectory, 'logs', logName), 'a');
  const child = spawn(process.execPath, ['-e', code, '--', ...args], {
    detached,
    stdio: ['pipe', log, 'pipe'],
  });
  closeSync(log);
  t.teardown(() => child.kill('SIGKILL'));
  if (child.stderr !== null) await once(child.stderr, 'data');
  const facts = child.pid === undefined ? null : await readProcess(child.pid);
  if (facts === null) throw new Error('the process is not there');
  const lives = () => isSameProcess(facts.pid, facts.startTimeTicks);
  return { pid: facts.pid, startTimeTicks: facts.startTimeTicks, lives };
}

/** Of one VM. */
function recordsOf(runtimeDirectory: string, name: string, vmm: VmmId) {
  const path = recordPath(runtimeDirectory, `${name}.json`);
  const vm = makeVm(runtimeDirectory, defineVm(name, {}));
  mkdirSync(dirname(path));
  writeFileSync(path, writeRecord(recordOf(vm, vmm)));
  return makeRecords(runtimeDirectory, makeEvents(), () => vm);
}

t.test('ends a VMM that no record names, and no other process', async t => {
  const runtimeDirectory = socketFolder(t);
  const socketOf = (vm: string) => `path=${join(runtimeDirectory, 'vms', vm, 'api.sock')}`;
  const orphan = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('lost')]);
  const known = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('known')], {
    log: 'known.vmm.log',
  });
  const remote = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('lost')], { detached: false });
  const stranger = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('lost')], {
    log: '../of-nobody',
  });
  const unit = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('unit')], {
    log: 'unit.vmm.log',
  });
  const another = await spawnVmm(t, runtimeDirectory, ['--api-socket', socketOf('another-user')], {
    log: 'another-user.vmm.log',
  });
  const { pid, startTimeTicks } = known;
  const records = recordsOf(runtimeDirectory, 'known', { pid, startTimeTicks });
  const uids: Record<string, Set<number> | undefined> = { unit: undefined, 'another-user': new Set([-1]) };
  const ended = await endOrphans({
    runtimeDirectory,
    records,
    uidsOf: async vm => (vm in uids ? uids[vm] : OURS),
  });
  t.same(ended, [{ vm: 'lost', pid: orphan.pid }]);
  t.notOk(await orphan.lives());
  for (const process of [known, remote, stranger, unit, another]) t.ok(await process.lives());
});

t.test('a record of another process with the same pid names nobody', async t => {
  const runtimeDirectory = socketFolder(t);
  const orphan = await spawnVmm(t, runtimeDirectory, [join(runtimeDirectory, 'vms', 'lost', 'api.sock')]);
  const { pid, startTimeTicks } = orphan;
  const records = recordsOf(runtimeDirectory, 'lost', { pid, startTimeTicks: startTimeTicks - 1 });
  await endOrphans({ runtimeDirectory, records, uidsOf: async () => OURS });
  t.notOk(await orphan.lives());
});
