// What a VMM that was killed left keeps no VM from starting again; what somebody uses stays.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { daemonTest } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm } from './vmm.js';

const options = { skip: CLOUD_HYPERVISOR.skip, config: { hypervisors: CLOUD_HYPERVISOR.hypervisors } };

for (const kind of ['vsock', 'serial'] as const) {
  daemonTest(`cloud-hypervisor: starts again after a kill with a ${kind} socket`, options, async (t, rig) => {
    const { daemon } = rig;
    const path = join(daemon.folder, `${kind}.sock`);
    const definition = await defineVm(CLOUD_HYPERVISOR, rig, 'web');
    const kernelArguments = definition.command.slice(0, 4);
    const command =
      kind === 'vsock'
        ? [...definition.command, '--vsock', `cid=35,socket=${path}`]
        : [...kernelArguments, '--serial', `socket=${path}`, '--console', 'off'];
    await daemon.define('web', { ...definition, command });
    const { pid } = await daemon.act('web', 'start');
    await daemon.act('web', 'kill');
    t.ok(existsSync(path), 'the killed VMM left its socket');
    await daemon.act('web', 'start');
    process.kill((await daemon.show('web')).pid ?? 0, 'SIGKILL');
    await daemon.untilVm('web', 'has broken', vm => vm.state === 'failed');
    const again = await daemon.act('web', 'start');
    t.match(again, { state: 'running' });
    t.not(again.pid, pid);
    await daemon.act('web', 'kill');
    const other = createServer().listen(join(daemon.folder, 'other.sock'));
    await once(other, 'listening');
    await daemon.define('web', {
      ...definition,
      command: command.map(word => word.replace(`${kind}.sock`, 'other.sock')),
    });
    t.match((await daemon.call('POST', '/v1/vms/web/start')).json, {
      code: 'resource_conflict',
      detail: /other\.sock is another program’s/,
    });
    other.close();
  });
}

daemonTest('cloud-hypervisor: two VMs may have one CID, and not one socket', options, async (t, rig) => {
  const { daemon } = rig;
  for (const name of ['a', 'b']) {
    const definition = await defineVm(CLOUD_HYPERVISOR, rig, name);
    const vsock = ['--vsock', `cid=3,socket=${join(daemon.folder, `${name}.vsock`)}`];
    await daemon.define(name, { ...definition, command: [...definition.command, ...vsock] });
    await daemon.act(name, 'start');
  }
  const definition = await defineVm(CLOUD_HYPERVISOR, rig, 'c');
  const vsock = ['--vsock', `cid=4,socket=${join(daemon.folder, 'a.vsock')}`];
  await daemon.define('c', { ...definition, command: [...definition.command, ...vsock] });
  t.match((await daemon.call('POST', '/v1/vms/c/start')).json, {
    code: 'resource_conflict',
    detail: /VM a has the vsock socket .*a\.vsock already/,
  });
});
