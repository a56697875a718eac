// A VMM that runs as another user owns its folder, and nothing that the daemon reads or writes as root.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readProcess } from '../../src/system/procfs.js';
import { resolveUser } from '../../src/system/users.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { whyNotRoot } from '../setup/programs.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, QEMU } from './vmm.js';

const USER = 'nobody';
const options = { skip: whyNotRoot() || QEMU.skip };

daemonTest('runs a VMM as its user, whose links lead the daemon nowhere', options, async (t, rig) => {
  const { daemon } = rig;
  chmodSync(daemon.folder, 0o755);
  const rootOnly = join(daemon.folder, 'root-only');
  writeFileSync(rootOnly, 'for root alone', { mode: 0o600 });
  const folder = join(daemon.runtime, 'vms', 'web');
  const logs = join(daemon.runtime, 'logs');
  const asUser = (...command: string[]) =>
    execFileSync('setpriv', [`--reuid=${USER}`, '--clear-groups', ...command], { stdio: 'pipe' });

  await defineVm(QEMU, rig, 'web', { more: { user: USER } });
  const { pid } = await daemon.act('web', 'start');
  const owner = await resolveUser('web', USER, undefined);
  t.equal((await readProcess(pid ?? 0))?.uid, owner?.uid);
  await daemon.untilConsole('web', END_OF_OEM_STRINGS);
  await daemon.act('web', 'stop');

  for (const name of ['console.log', 'vmm.log', 'console.sock', 'api.sock'])
    asUser('ln', '-sfn', rootOnly, join(folder, name));
  for (const name of ['web.console.log', 'web.vmm.log'])
    t.throws(() => asUser('ln', '-sfn', rootOnly, join(logs, name)), /Permission denied/, name);
  await daemon.act('web', 'start');
  t.notMatch(await daemon.untilConsole('web', END_OF_OEM_STRINGS), 'for root alone');
  t.equal(readFileSync(rootOnly, 'utf8'), 'for root alone');
  t.match(statSync(rootOnly), { uid: 0 });
});
