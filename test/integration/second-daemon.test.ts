// Two daemons share nothing: a second one on the same state does not start, and the first goes on.
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DAEMON_EXAMPLES } from '../../src/daemon-program.js';
import { spawnNode } from '../setup/spawn-node.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));

daemonTest(
  'a second daemon on the same state does not start',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web', { more: { autostart: true } });
    const { pid } = await daemon.act('web', 'start');
    const args = [
      ...['--config', join(daemon.folder, 'config.json'), '--definitions', daemon.definitions],
      ...['--runtime-directory', join(daemon.folder, 'second'), '--state-directory', daemon.state],
    ];
    const second = spawnNode([DAEMON, ...args], { env: { PATH: process.env.PATH, HOME: daemon.folder } });
    let said = '';
    second.stderr.on('data', bytes => {
      said += bytes;
    });
    const [status] = await once(second, 'close');
    t.equal(status, 1);
    t.match(said, /^vmsecretd: Another daemon uses the state directory .*state; stop it, or give this one/);
    t.match(await daemon.show('web'), { state: 'running', pid });
    t.strictSame(daemon.vmms(), [pid]);
    // A daemon that was killed keeps none of the next from it.
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'running', pid });
    const [example = ''] = DAEMON_EXAMPLES.vmsecretd?.find(([, what]) => what.includes('second')) ?? [];
    for (const option of ['--runtime-directory', '--state-directory', '--definitions'])
      t.match(example, option, 'the example of a second daemon shares nothing');
  },
);
