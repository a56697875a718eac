// A VM with autostart is started once what it needs of its host is there, and not before.
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

/** The daemon is started with what the host lacks. */
async function startLacking(t: Test, rig: Rig, more: string[], restart: string): Promise<void> {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'web', { more: { autostart: true, restart } });
  await daemon.stop();
  const kept = join(daemon.state, 'vms', 'web.json');
  writeFileSync(kept, JSON.stringify({ ...definition, command: [...definition.command, ...more] }));
  await daemon.restart();
  const vm = await daemon.untilVm('web', 'has failed', ({ state }) => state === 'failed');
  t.match(vm, { problem: { code: 'resource_conflict' } });
}

for (const restart of ['on-failure', 'always']) {
  daemonTest(`with restart "${restart}" it waits for a disk`, options, async (t, rig) => {
    const disk = join(rig.daemon.folder, 'disk.img');
    await startLacking(t, rig, ['--disk', `path=${disk}`], restart);
    t.match((await rig.daemon.call('POST', '/v1/vms/web/start')).json, { code: 'resource_conflict' });
    writeFileSync(disk, Buffer.alloc(1024 * 1024));
    await rig.daemon.untilVm('web', 'is running', ({ state }) => state === 'running');
  });
}

daemonTest('it waits for a virtiofs socket', options, async (t, rig) => {
  const socket = join(rig.daemon.folder, 'fs.sock');
  await startLacking(t, rig, ['--fs', `tag=store,socket=${socket}`], 'always');
  const server = createServer().listen(socket);
  await once(server, 'listening');
  await rig.daemon.untilVm('web', 'is running', ({ state }) => state === 'running');
  server.close();
});

daemonTest('a stop ends the wait', options, async (t, rig) => {
  const { daemon } = rig;
  const disk = join(daemon.folder, 'disk.img');
  await startLacking(t, rig, ['--disk', `path=${disk}`], 'always');
  t.match(await daemon.act('web', 'stop'), { state: 'stopped', problem: null });
  writeFileSync(disk, Buffer.alloc(1024 * 1024));
  await defineVm(STAND_IN, rig, 'other');
  // Longer than the first pause between two tries.
  const starts = daemon.events.length;
  await new Promise(resolve => setTimeout(resolve, 2_500));
  t.notOk(daemon.events.slice(starts).some(({ vm, type }) => vm === 'web' && type === 'state'));
  rmSync(disk);
});
