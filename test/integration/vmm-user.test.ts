// A VMM that runs as another user owns its folder, and nothing that the daemon reads or writes as root.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readProcess } from '../../src/system/procfs.js';
import { resolveUser } from '../../src/system/users.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { whyClosedToOthers, whyNotRoot } from '../setup/programs.js';
import { daemonTest } from './daemon-test.js';
import { apiSocketOf, CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN } from './vmm.js';

const USER = 'nobody';
const options = { skip: whyNotRoot() || QEMU.skip };
const ofStandIn = {
  skip: whyNotRoot() || whyClosedToOthers(),
  config: { hypervisors: STAND_IN.hypervisors },
};

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

daemonTest('leads the daemon to no other VM’s VMM by a link', options, async (t, rig) => {
  const { daemon } = rig;
  chmodSync(daemon.folder, 0o755);
  const names = ['liar', 'other'] as const;
  await defineVm(QEMU, rig, 'liar', { after: 'stay', more: { user: USER, stopTimeoutSeconds: 1 } });
  await defineVm(QEMU, rig, 'other', { more: { user: 'daemon' } });
  for (const name of names) await daemon.act(name, 'start');
  execFileSync('setpriv', [
    `--reuid=${USER}`,
    '--clear-groups',
    ...['ln', '-sf', apiSocketOf(rig, 'other'), apiSocketOf(rig, 'liar')],
  ]);
  t.match((await daemon.call('POST', '/v1/vms/liar/pause')).json, { code: 'vmm_timeout' });
  await daemon.act('liar', 'stop');
  // It hears no button while it is paused, and is not there after one.
  t.equal((await daemon.show('other')).state, 'running');
  await daemon.act('other', 'pause');
});

for (const [vmm, names] of [
  [STAND_IN, ['of-root', 'of-user']],
  // Often root alone may open /dev/kvm.
  [CLOUD_HYPERVISOR, ['of-root']],
] as const) {
  const skip = vmm === STAND_IN ? ofStandIn.skip : whyNotRoot() || vmm.skip;
  const ofVmm = { skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(
    `nobody else reaches a VMM that would show or write its secrets: ${vmm.name}`,
    ofVmm,
    async (t, rig) => {
      const { daemon } = rig;
      chmodSync(daemon.folder, 0o755);
      // Who may write to a socket may connect (unix(7)); test(1) asks the kernel.
      const mayConnect = (user: string, vm: string) =>
        spawnSync('setpriv', [`--reuid=${user}`, '--clear-groups', 'test', '-w', apiSocketOf(rig, vm)])
          .status === 0;
      for (const vm of names) {
        await defineVm(vmm, rig, vm, { more: vm === 'of-user' ? { user: USER } : {} });
        await daemon.act(vm, 'start');
        t.notOk(mayConnect('daemon', vm), `another user, ${vm}`);
        t.ok(mayConnect('root', vm));
        t.equal(mayConnect(USER, vm), vm === 'of-user', `${USER}, ${vm}`);
        for (const verb of ['snapshot', 'coredump', 'info']) {
          const { status } = await daemon.call('POST', `/v1/vms/${vm}/${verb}`);
          t.equal(status, 404, `the daemon has no way to ask for ${verb}`);
        }
      }
    },
  );
}

daemonTest(
  'ends what nobody noted, of a user whom the definition no longer names',
  ofStandIn,
  async (t, rig) => {
    const { daemon } = rig;
    chmodSync(daemon.folder, 0o755);
    await defineVm(STAND_IN, rig, 'web', { more: { user: USER } });
    const { pid } = await daemon.act('web', 'start');
    await daemon.kill9();
    rmSync(join(daemon.runtime, 'records', 'web.json'));
    const kept = join(daemon.state, 'vms', 'web.json');
    const { user, ...definition } = JSON.parse(readFileSync(kept, 'utf8'));
    t.equal(user, USER);
    writeFileSync(kept, JSON.stringify(definition));
    await daemon.restart();
    const again = await daemon.untilVm('web', 'was started afresh', vm => vm.state === 'running');
    t.strictSame(daemon.vmms(), [again.pid]);
    t.not(again.pid, pid);
    t.equal((await readProcess(again.pid ?? 0))?.uid, 0);
  },
);

daemonTest('runs no preStart program that the VM’s user wrote', ofStandIn, async (t, rig) => {
  const { daemon } = rig;
  chmodSync(daemon.folder, 0o755);
  const workingDirectory = join(daemon.folder, 'work');
  mkdirSync(workingDirectory);
  const program = join(workingDirectory, 'prepare.sh');
  writeFileSync(program, '#!/bin/sh\ntouch it-ran\n', { mode: 0o755 });
  const owner = await resolveUser('web', USER, undefined);
  for (const path of [workingDirectory, program]) chownSync(path, owner?.uid ?? 0, owner?.gid ?? 0);
  for (const name of ['./prepare.sh', program]) {
    await defineVm(STAND_IN, rig, 'web', { more: { workingDirectory, preStart: [[name]] } });
    const { json } = await daemon.call('POST', '/v1/vms/web/start');
    t.match(json, {
      code: 'supervisor_failed',
      detail: /preStart .*prepare\.sh is refused: somebody other than root/,
    });
  }
  t.notOk(existsSync(join(workingDirectory, 'it-ran')));
});
