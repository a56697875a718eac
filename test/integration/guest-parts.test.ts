// The programs of guest/ that ask the host and are told by it, on this machine, against the daemon; test/guests/debian has them in guests.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Test } from 'tap';
import { whyNotOnPath } from '../setup/programs.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const skip = whyNotOnPath('perl');
const VMM = {
  ...STAND_IN,
  command: (kernel: string) => [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=vsock.sock'],
};

/** In place of vmsecretd-connect: to the UNIX socket that a VMM would connect to. */
const CONNECT = `#!/usr/bin/perl
use Socket; socket(H, AF_UNIX, SOCK_STREAM, 0) && connect(H, pack_sockaddr_un("$ENV{VSOCK}_$ARGV[0]")) or die "$!\\n";
my $sender = fork;
my ($from, $to) = $sender ? (*H, *STDOUT) : (*STDIN, *H);
while (my $size = sysread($from, my $bytes, 65536)) { syswrite($to, $bytes) // exit 1 }
kill 'TERM', $sender if $sender;
`;

/** Prints units as systemctl does, and writes down what it was asked. */
const SYSTEMCTL = `#!/bin/sh
folder=\${0%/bin/*}
case $1 in
  list-units) printf '%s loaded active running\\n' user.service boot.service globs.service other.service vmsecretd-refresh.service ;;
  show)
    for unit in user boot globs other; do
      printf 'Id=%s.service\\nFragmentPath=%s\\nDropInPaths=\\n\\n' "$unit" "$folder/units/$unit.service"
    done ;;
  *) echo "$*" >>"$folder/systemctl.log"; [ ! -e "$folder/fails" ] ;;
esac
`;

interface Guest {
  folder: string;
  env: NodeJS.ProcessEnv;
}

async function startGuest(t: Test, rig: Rig): Promise<Guest> {
  const { daemon } = rig;
  const folder = t.testdir({
    bin: {},
    units: {},
    credentials: { BOOT: 'old', OTHER: 'same' },
    etc: { kubernetes: {} },
  });
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, 'bin', name), text);
    chmodSync(join(folder, 'bin', name), 0o755);
  };
  program('connect', CONNECT);
  program('systemctl', SYSTEMCTL);
  for (const name of ['mount', 'umount']) program(name, '#!/bin/sh\n');
  const unit = (name: string, line: string) =>
    writeFileSync(join(folder, 'units', `${name}.service`), `[Service]\n${line}\n`);
  unit('user', `LoadCredential=TOKEN:${folder}/socket`);
  unit('boot', 'LoadCredential=mine:BOOT');
  unit('globs', 'ImportCredential=BO*');
  unit('other', 'LoadCredential=OTHER');
  writeFileSync(join(folder, 'etc/kubernetes/app'), 'namespace:a\nname:b\nkey:k:TOKEN\n');
  writeFileSync(join(folder, 'etc/kubernetes/idle'), 'namespace:a\nname:b\nkey:k:OTHER\n');
  const credentials = {
    TOKEN: { age: await daemon.seal('token', 'first'), onDemand: true },
    BOOT: { age: await daemon.seal('boot', 'old') },
  };
  await defineVm(VMM, rig, 'web', { more: { credentials } });
  await daemon.act('web', 'start');
  return {
    folder,
    env: {
      PATH: `${folder}/bin:${process.env.PATH}`,
      VSOCK: join(daemon.runtime, 'vms/web/vsock.sock'),
      VMSECRETD_CONNECT: join(folder, 'bin/connect'),
      VMSECRETD_CREDENTIAL: resolve('guest/vmsecretd-credential'),
      VMSECRETD_CREDENTIALS: join(folder, 'credentials'),
      VMSECRETD_GUEST: join(folder, 'etc'),
      VMSECRETD_STAGE: join(folder, 'stage'),
      VMSECRETD_SOCKET: join(folder, 'socket'),
    },
  };
}

const options = { skip, config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('guest parts: vmsecretd-credential prints a value whole, or nothing', options, async (t, rig) => {
  const { daemon } = rig;
  const { env } = await startGuest(t, rig);
  const value = Buffer.concat([randomBytes(300_000), Buffer.from('\0\n\n')]);
  await daemon.seal('token', value);
  const ask = (...args: string[]) => spawnAsync([resolve('guest/vmsecretd-credential'), ...args], env);
  const whole = await ask('TOKEN');
  t.match(whole, { status: 0, stderr: '' });
  t.ok(whole.stdout.equals(value), 'byte for byte');
  t.match(await ask('NOT_MINE'), { status: 1, stderr: /credential NOT_MINE: the host says: unknown/ });
  t.match(await ask('../etc'), { status: 1, stderr: /is not the name of a credential/ });
  const answered = await spawnAsync([resolve('guest/vmsecretd-credential'), '--answer'], {
    ...env,
    REMOTE_ADDR: '@0123456789abcdef/unit/my-app.service/TOKEN',
  });
  t.ok(answered.stdout.equals(value), 'for systemd, which says who asks in its address');
  await daemon.until('the unit is told', () => daemon.events.some(({ unit }) => unit === 'my-app.service'));
  for (const REMOTE_ADDR of ['@0123456789abcdef/unit/my-app.service/NOT_MINE', '@somebody else']) {
    const { stdout, status } = await spawnAsync([resolve('guest/vmsecretd-credential'), '--answer'], {
      ...env,
      REMOTE_ADDR,
    });
    t.strictSame([status, stdout.length], [1, 1_048_577], 'systemd refuses more than 1 MiB');
  }
});

async function spawnAsync([program = '', ...args]: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', chunk => chunks.push(chunk));
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text;
  });
  const status = await new Promise<number | null>(done => child.once('close', done));
  return { status, stdout: Buffer.concat(chunks), stderr };
}

daemonTest('guest parts: vmsecretd-refresh replaces, restarts and proves', options, async (t, rig) => {
  const { daemon } = rig;
  const { folder, env } = await startGuest(t, rig);
  const part: ChildProcess = spawn(resolve('guest/vmsecretd-refresh'), {
    env,
    stdio: 'ignore',
    detached: true,
  });
  t.teardown(() => process.kill(-(part.pid ?? 0), 'SIGKILL'));
  await daemon.until('the guest part is there', () =>
    daemon.events.some(({ type }) => type === 'guest-part'),
  );
  await daemon.seal('boot', 'new');
  await daemon.seal('token', 'second');
  await daemon.untilVm('web', 'is outdated', ({ outdated }) => outdated.length === 2);
  t.match(await daemon.ctl('refresh', 'web'), { status: 0, stderr: '' });
  t.match(await daemon.show('web'), {
    outdated: [],
    refresh: { credentials: ['TOKEN', 'BOOT'], problem: null },
  });
  t.equal(readFileSync(join(folder, 'credentials/BOOT'), 'utf8'), 'new');
  t.equal(statSync(join(folder, 'credentials/BOOT')).mode & 0o777, 0o400);
  const log = () => readFileSync(join(folder, 'systemctl.log'), 'utf8').split('\n').slice(0, -1);
  t.strictSame(log(), [
    'try-restart -- vmsecretd-kubernetes-secret@app.service',
    'try-restart -- user.service',
    'try-restart -- boot.service',
    'try-restart -- globs.service',
  ]);
  writeFileSync(join(folder, 'fails'), '');
  await daemon.seal('boot', 'newer');
  await daemon.untilVm('web', 'is outdated', ({ outdated }) => outdated.length === 1);
  t.match(await daemon.ctl('refresh', 'web'), {
    status: 1,
    stderr: /its guest says: boot.service did not restart/,
  });
  t.match(await daemon.show('web'), { outdated: ['credential BOOT'] });
});
