// Another user of the host really tries what modes forbid: each socket is connected to, each file opened, each folder
// listed and written to, while VMs of root and of a user run.
import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { whyNotOnPath, whyNotRoot } from '../setup/programs.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { apiSocketOf, CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN, type Vmm } from './vmm.js';

const OTHER = 'nobody';
const VMM_USER = 'daemon';
const skip = whyNotRoot() || whyNotOnPath('curl') || whyNotOnPath('setpriv');
/** curl(1): failed to connect to host. */
const REFUSED = { exitCode: 7, stdout: '' };

const asUser = (user: string, ...command: string[]) =>
  execa('setpriv', [`--reuid=${user}`, '--regid=65534', '--clear-groups', ...command], { reject: false });

function curl(user: string, socket: string, ...args: string[]) {
  const [path = '/', ...more] = args;
  return asUser(user, 'curl', '-sS', '--max-time', '20', '--unix-socket', socket, ...more, `http://x${path}`);
}

function treeOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...treeOf(path)] : [path];
  });
}

/** @returns which of the paths the user can read, list or make something in */
async function openTo(user: string, paths: readonly string[]): Promise<string[]> {
  const script = `for path; do
    if [ -d "$path" ]; then ls "$path" || touch "$path/made"; else head -c 1 "$path" || true >> "$path"; fi \\
      > /dev/null 2>&1 && printf '%s\\n' "$path"
  done; true`;
  const { stdout, failed } = await asUser(user, 'sh', '-c', `${script}\necho all`, 'sh', ...paths);
  const lines = stdout.split('\n');
  if (failed || lines.pop() !== 'all') throw new Error('not every path was tried');
  return lines;
}

async function startVm(vmm: Vmm, rig: Rig, user: string): Promise<void> {
  // The test's own folder lets nobody in; what is left is what the daemon itself makes.
  chmodSync(rig.daemon.folder, 0o755);
  const vsock = vmm.hypervisor === 'qemu' ? [] : ['--vsock', 'cid=3,socket=vsock.sock'];
  const command = (kernel: string) => [...vmm.command(kernel), ...vsock];
  const more = { ready: 'receipt', ...(user === 'root' ? {} : { user }) };
  await defineVm({ ...vmm, command }, rig, 'web', { more });
  await rig.daemon.act('web', 'start');
}

async function isKeptOut(t: Test, { daemon }: Rig, user: string): Promise<void> {
  const tree = [daemon.runtime, daemon.state].flatMap(folder => [folder, ...treeOf(folder)]);
  const sockets = tree.filter(path => lstatSync(path).isSocket());
  for (const socket of sockets)
    t.match(await curl(user, socket), REFUSED, `${user} at ${socket.slice(daemon.folder.length)}`);
  t.ok(sockets.length > 3, `none of ${sockets.length} sockets lets it in`);
  const others = tree.filter(path => !sockets.includes(path) && path !== daemon.runtime);
  t.strictSame(
    await openTo(user, others),
    [],
    `none of ${others.length} files and folders is open to ${user}`,
  );
}

for (const [vmm, owner] of [
  [STAND_IN, 'root'],
  [CLOUD_HYPERVISOR, 'root'],
  [QEMU, VMM_USER],
] as const) {
  daemonTest(
    `another user connects to no socket, and opens no file: ${vmm.name} of ${owner}`,
    { skip: skip || vmm.skip, config: { hypervisors: vmm.hypervisors } },
    async (t, rig) => {
      const { daemon } = rig;
      await startVm(vmm, rig, owner);
      await isKeptOut(t, rig, OTHER);

      // That nothing was refused for another reason.
      for (const name of ['admin', 'vmsecretd'] as const)
        t.match(await curl('root', daemon.socket(name), '/v1/health'), { exitCode: 0 }, `root at ${name}`);
      const { exitCode } = await curl(owner, apiSocketOf(rig, 'web'));
      t.not(exitCode, REFUSED.exitCode, `${owner} at the API socket of its own`);
      const state = readdirSync(daemon.state).map(name => join(daemon.state, name));
      t.strictSame(await openTo('root', state), state);
    },
  );
}
