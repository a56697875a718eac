import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isSameProcess, readProcess } from '../../src/system/procfs.js';
import { endOrphans, findVmName } from '../../src/vm/orphans.js';
import { socketFolder } from '../setup/socket-folder.js';

const OURS = new Set([process.getuid?.() ?? 0]);

/** A process that waits, with any arguments; in a session of its own, as a VMM is. */
async function spawnVmm(t: Test, args: readonly string[], detached = true) {
  const code = 'process.stdout.write("up"); process.stdin.resume()';
  const child = spawn(process.execPath, ['-e', code, '--', ...args], { detached, stdio: 'pipe' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const facts = child.pid === undefined ? null : await readProcess(child.pid);
  if (facts === null) throw new Error('the process is not there');
  const lives = () => isSameProcess(facts.pid, facts.startTimeTicks);
  return { pid: facts.pid, startTimeTicks: facts.startTimeTicks, lives };
}

t.test('ends a VMM that no record names, and no other process', async t => {
  const runtimeDirectory = socketFolder(t);
  const socketOf = (vm: string) => `path=${join(runtimeDirectory, 'vms', vm, 'api.sock')}`;
  const orphan = await spawnVmm(t, ['--api-socket', socketOf('lost')]);
  const known = await spawnVmm(t, ['--api-socket', socketOf('known')]);
  const remote = await spawnVmm(t, ['--api-socket', socketOf('lost')], false);
  const unit = await spawnVmm(t, ['--api-socket', socketOf('unit')]);
  const elsewhere = await spawnVmm(t, [
    '--api-socket',
    `path=/elsewhere${runtimeDirectory}/vms/lost/api.sock`,
  ]);
  const another = await spawnVmm(t, ['--api-socket', socketOf('another-user')]);
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
  for (const process of [known, remote, unit, elsewhere, another]) t.ok(await process.lives());
});

t.test('a record of another process with the same pid names nobody', async t => {
  const runtimeDirectory = socketFolder(t);
  const orphan = await spawnVmm(t, [join(runtimeDirectory, 'vms', 'lost', 'api.sock')]);
  mkdirSync(join(runtimeDirectory, 'records'));
  const record = JSON.stringify({ pid: orphan.pid, startTimeTicks: orphan.startTimeTicks - 1 });
  writeFileSync(join(runtimeDirectory, 'records', 'lost.json'), record);
  await endOrphans({ runtimeDirectory, uidsOf: async () => OURS });
  t.notOk(await orphan.lives());
});

t.test('knows a VM by its API socket as cloud-hypervisor and QEMU have it, and by its FIFO', t => {
  const names = (argument: string) => findVmName(['x', argument], '/run/v');
  t.equal(names('path=/run/v/vms/web/api.sock'), 'web');
  t.equal(names('unix:/run/v/vms/web/api.sock,server=on,wait=off'), 'web');
  t.equal(names('/run/v/vms/web/api.sock'), 'web');
  t.equal(names('/run/v/vms/web/console.log'), undefined);
  t.equal(names('/run/v/vms/web/api.sock.bak'), undefined);
  t.equal(names('/srv/run/v/vms/web/api.sock'), undefined);
  t.end();
});
