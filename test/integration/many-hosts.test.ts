// vmsecretctl -H: daemons of other hosts, over a real sshd. And `vmsecretctl ssh`, into what stands for a guest's vsock with a real sshd
// behind it: a guest with systemd 256 is more than a test can boot.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { whyNotOnPath, whyNotRoot } from '../setup/programs.js';
import type { TestDaemon } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { RunningCtl } from './running-ctl.js';
import { defineVm, STAND_IN } from './vmm.js';

const SSHD = '/usr/sbin/sshd';
const skip: string | false =
  whyNotRoot() || whyNotOnPath('ssh') || (existsSync(SSHD) ? false : `there is no ${SSHD}`);
const options = { config: { hypervisors: STAND_IN.hypervisors }, skip };

/** Of this user alone; where it listens is known once it does. @returns its arguments, and the configuration of its clients */
function makeKeys(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'sshd-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const key of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    `HostKey ${folder}/host\nAuthorizedKeysFile ${folder}/user.pub\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile none\n`,
  );
  // sshd wants it, and Debian's unit makes it.
  mkdirSync('/run/sshd', { recursive: true });
  return { folder, sshd: ['-f', config] };
}

/** What the shell finds as ssh has our keys. */
function environmentOf(folder: string, hosts: string): Record<string, string> {
  const config = join(folder, 'config');
  writeFileSync(
    config,
    `${hosts}\nHost *\n  User root\n  IdentityFile ${folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile ${folder}/known\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n`,
  );
  mkdirSync(join(folder, 'bin'), { recursive: true });
  const ssh = execFileSync('sh', ['-c', 'command -v ssh'], { encoding: 'utf8' }).trim();
  writeFileSync(join(folder, 'bin', 'ssh'), `#!/bin/sh\nexec ${ssh} -F ${config} "$@"\n`);
  chmodSync(join(folder, 'bin', 'ssh'), 0o755);
  return { PATH: `${folder}/bin:${process.env.PATH}` };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

async function startSshd(t: Test, args: readonly string[]): Promise<number> {
  const port = await freePort();
  const child = spawn(SSHD, ['-D', '-e', '-o', 'ListenAddress=127.0.0.1', '-p', String(port), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(async () => {
    child.kill();
    await once(child, 'exit');
  });
  for await (const line of createInterface(child.stderr)) if (line.includes('Server listening')) break;
  child.stderr.resume();
  return port;
}

async function ctl(daemon: TestDaemon, environment: Record<string, string>, ...words: string[]) {
  const running = new RunningCtl(daemon, words, { terminal: false, environment });
  return { status: await running.ended, printed: running.printed };
}

daemonTest('-H asks the daemon of another host over ssh, and several at once', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const { folder, sshd } = makeKeys(t);
  const port = await startSshd(t, sshd);
  const environment = environmentOf(
    folder,
    `Host one two\n  HostName 127.0.0.1\n  Port ${port}\nHost gone\n  HostName 127.0.0.1\n  Port ${await freePort()}`,
  );
  const own = readdirSync(tmpdir()).filter(name => name.startsWith('vmsecretctl-'));
  const on = (...words: string[]) => ctl(daemon, environment, '--socket', daemon.socket('admin'), ...words);
  t.match(await on('-H', `ssh://root@127.0.0.1:${port}`, 'start', 'web', '--wait'), {
    status: 0,
    printed: /\nweb +running +yes/,
  });
  t.match(await on('-H', 'one', 'show', 'web', '--json'), { status: 0, printed: /"state": "running"/ });
  t.match(await on('list', '-H', 'one', '-H', 'two'), {
    status: 0,
    printed: /^HOST +NAME +STATE.*\none +web +running.*\ntwo +web +running.*\n$/,
  });
  const both = await on('list', '-H', 'one', '-H', 'two', '-o', 'json');
  t.match(JSON.parse(both.printed), { hosts: [{ host: 'one', vms: [{ name: 'web' }] }, { host: 'two' }] });
  const partly = await on('list', '-H', 'one', '-H', 'gone');
  t.match(partly, { status: 4, printed: /one +web +running/ });
  t.match(partly.printed, /cannot reach gone by ssh/);
  t.match(await on('list', '-H', 'gone'), { status: 4, printed: /cannot reach gone by ssh/ });
  t.match(await ctl(daemon, environment, '-H', 'one', '--socket', '/nowhere.sock', 'list'), {
    status: 4,
    printed: /cannot reach vmsecretd at one, over ssh/,
  });
  t.match(await on('stop', '-H', 'one', '-H', 'two', 'web'), { status: 2, printed: /takes one -H/ });
  t.strictSame(
    readdirSync(tmpdir()).filter(name => name.startsWith('vmsecretctl-')),
    own,
    'no end of a stream is left',
  );
});

daemonTest('list --outdated tells deployers by its exit status', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'web');
  await daemon.act('web', 'start');
  t.match(await daemon.ctl('list', '--outdated', '-q'), { status: 0, stdout: '' });
  await daemon.define('web', { ...definition, oemStrings: ['new'] });
  t.match(await daemon.ctl('list', '--outdated', '-q'), { status: 5, stdout: 'web\n' });
  t.match(await daemon.ctl('restart', '--outdated'), { status: 0 });
  t.match(await daemon.ctl('list', '--outdated'), { status: 0 });
});

daemonTest('ssh NAME opens a shell over the vsock of the VM', options, async (t, rig) => {
  const { daemon } = rig;
  const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
  const socket = join(daemon.folder, 'guest.vsock');
  await daemon.define('web', { ...rest, command: [...command, '--vsock', `cid=3,socket=${socket}`] });
  const { folder, sshd } = makeKeys(t);
  const port = await startSshd(t, sshd);
  const environment = environmentOf(folder, '');
  const ssh = (...words: string[]) => ctl(daemon, environment, 'ssh', 'web', ...words);
  const nobody = await ssh('true');
  t.equal(nobody.status, 255);
  t.match(nobody.printed, /port 22 of the guest, by .*guest\.vsock: ENOENT/);
  // As cloud-hypervisor's end of vsock does.
  const vsock = createServer(client => {
    client.once('data', bytes => {
      t.equal(bytes.toString(), 'CONNECT 22\n');
      client.write('OK 1073741824\n');
      const guest = connect(port, '127.0.0.1');
      client.pipe(guest).pipe(client);
      for (const end of [client, guest]) end.on('error', () => {});
    });
  }).listen(socket);
  t.teardown(() => vsock.close());
  t.match(await ssh('--', 'echo', 'of the guest;', 'exit', '3'), { status: 3, printed: 'of the guest\n' });
});
