import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { endOrphans } from '../../src/recovery/orphans.js';
import { isSameProcess, readProcess } from '../../src/system/procfs.js';
import { socketFolder } from '../setup/socket-folder.js';

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
  mkdirSync(join(runtimeDirectory, 'records'));
  const { pid, startTimeTicks } = known;
  writeFileSync(join(runtimeDirectory, 'records', 'known.json'), JSON.stringify({ pid, startTimeTicks }));
  const uids: Record<string, Set<number> | undefined> = { unit: undefined, 'another-user': new Set([-1]) };
  const ended = await endOrphans({
    runtimeDirectory,
    uidsOf: async vm => (vm in uids ? uids[vm] : OURS),
  });
  t.same(ended, [{ vm: 'lost', pid: orphan.pid }]);
  t.notOk(await orphan.lives());
  for (const process of [known, remote, stranger, unit, another]) t.ok(await process.lives());
});

t.test('a record of another process with the same pid names nobody', async t => {
  const runtimeDirectory = socketFolder(t);
  const orphan = await spawnVmm(t, runtimeDirectory, [join(runtimeDirectory, 'vms', 'lost', 'api.sock')]);
  mkdirSync(join(runtimeDirectory, 'records'));
  const record = JSON.stringify({ pid: orphan.pid, startTimeTicks: orphan.startTimeTicks - 1 });
  writeFileSync(join(runtimeDirectory, 'records', 'lost.json'), record);
  await endOrphans({ runtimeDirectory, uidsOf: async () => OURS });
  t.notOk(await orphan.lives());
});
