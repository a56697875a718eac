// What somebody else has made in the runtime directory while no daemon ran.
import { chownSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNotRoot } from '../setup/programs.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const NOBODY = 65_534;
const options = { config: { hypervisors: STAND_IN.hypervisors }, skip: whyNotRoot() };

daemonTest(
  'a daemon says which part of its runtime directory is somebody else’s',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    await daemon.stop();
    for (const place of [daemon.runtime, join(daemon.runtime, 'logs')]) {
      mkdirSync(join(daemon.runtime, 'logs'), { recursive: true });
      chownSync(place, NOBODY, NOBODY);
      await t.rejects(
        daemon.restart(),
        {
          message:
            /^the daemon exited with 1: vmsecretd: .+ is refused: .+; remove it, or use another runtime directory\n$/,
        },
        place,
      );
      t.equal(lstatSync(place).uid, NOBODY, 'it is not taken from whose it is');
      chownSync(place, 0, 0);
    }
    const precious = join(daemon.folder, 'precious');
    writeFileSync(precious, 'kept', { mode: 0o600 });
    mkdirSync(join(daemon.runtime, 'vms'), { recursive: true });
    // As root would that gave back a folder with what was in it.
    for (const link of ['vms/web', 'logs/web.vmm.log']) symlinkSync(precious, join(daemon.runtime, link));
    await daemon.restart();
    t.match(await daemon.act('web', 'start'), { state: 'running' });
    t.match(lstatSync(precious), { uid: 0, mode: 0o100600, size: 4 }, 'no link is followed');
    await daemon.act('web', 'kill');
    rmSync(join(daemon.runtime, 'vms', 'web'), { recursive: true });
    mkdirSync(join(daemon.runtime, 'vms', 'web', 'api.sock'), { recursive: true });
    t.match(
      await daemon.act('web', 'start'),
      { state: 'running' },
      'what a VMM left at its socket is removed',
    );
  },
);
