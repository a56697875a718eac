// A reboot makes the devices of a VM again, and may fail of what went meanwhile.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonTest } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm } from './vmm.js';

const options = { skip: CLOUD_HYPERVISOR.skip, config: { hypervisors: CLOUD_HYPERVISOR.hypervisors } };

daemonTest(
  'cloud-hypervisor: a reboot whose disk is gone leaves no VMM without its guest',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    const disk = join(daemon.folder, 'disk.img');
    const writeDisk = () => writeFileSync(disk, Buffer.alloc(1024 * 1024));
    writeDisk();
    const definition = await defineVm(CLOUD_HYPERVISOR, rig, 'web', { after: 'stay' });
    const command = [...definition.command, '--disk', `path=${disk}`];
    await daemon.define('web', { ...definition, command, restart: 'on-failure' });
    const { pid } = await daemon.act('web', 'start');
    t.match(await daemon.act('web', 'reboot'), { state: 'running', pid });
    rmSync(disk);
    t.match((await daemon.call('POST', '/v1/vms/web/reboot')).json, {
      code: 'vmm_refused',
      detail: /refused vm\.reboot .*; its guest is gone, so its VMM was ended/,
    });
    await daemon.untilVm('web', 'has failed', ({ state }) => state === 'failed');
    writeDisk();
    const again = await daemon.untilVm('web', 'is running again', ({ state }) => state === 'running');
    t.not(again.pid, pid);
  },
);
