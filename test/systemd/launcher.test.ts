// systemd/vmsecretd-launch against a small server in the daemon's place: what it asks, what it becomes, what it says.

import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { test } from 'tap';
import { readBlock } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { LAUNCHER, prepare, SHOWS_ITSELF, says } from './launcher-for-test.js';

const skip = whyNotOnPath('curl');

test('asks with its own pid and becomes the VMM: same pid, private files, no core dump', {
  skip,
}, async t => {
  const asked: unknown[] = [];
  const { launch } = await prepare(t, (request, response, body) => {
    asked.push({ line: `${request.method} ${request.url}`, accept: request.headers.accept, body });
    says(`exec ${SHOWS_ITSELF}\narg --api-socket\narg path=/run/a b/\\'"$HOME"*\narg \nend\n`)(
      request,
      response,
      body,
    );
  });
  const child = launch(['my-app', '--', '/nix/store/x/bin/cloud-hypervisor', '--kernel', 'a b']);
  const { stdout, stderr, exitCode } = await child;
  t.equal(stderr, '');
  t.equal(exitCode, 0);
  t.strictSame(asked, [
    { line: 'POST /v1/vms/my-app/launch', accept: 'text/plain', body: `{"pid":${child.pid}}` },
  ]);
  t.strictSame(stdout.split('\n'), [
    `pid ${child.pid}`,
    'umask 0077',
    'core 0',
    'MALLOC_ARENA_MAX 1',
    'argument <--api-socket>',
    `argument <path=/run/a b/\\'"$HOME"*>`,
    'argument <>',
  ]);
});

test('while it asks, its command line is what the daemon checks', { skip }, async t => {
  let commandLine: string[] = [];
  const { launch } = await prepare(t, (request, response, body) => {
    commandLine = readFileSync(`/proc/${JSON.parse(body).pid}/cmdline`, 'utf8')
      .split('\0')
      .slice(0, -1);
    says(`exec ${SHOWS_ITSELF}\nend\n`)(request, response, body);
  });
  await launch(['demo', '--', 'cloud-hypervisor', '--cpus', 'boot=1']);
  t.strictSame(commandLine, ['/bin/sh', LAUNCHER, 'demo', '--', 'cloud-hypervisor', '--cpus', 'boot=1']);
});

test('prints what the daemon has to say, and fails', { skip }, async t => {
  const detail = 'VM demo: credential API_KEY: /etc/secrets/api-key.age is not there';
  const { launch } = await prepare(t, says(`${detail}\n`, 422));
  const { exitCode, stderr, stdout } = await launch(['demo']);
  t.strictSame(
    { exitCode, stderr, stdout },
    { exitCode: 1, stderr: `vmsecretd-launch: ${detail}`, stdout: '' },
  );
});

for (const [what, answer] of Object.entries({
  'is cut short': `exec ${SHOWS_ITSELF}\narg a\n`,
  'is empty': '',
  'names no program': 'arg a\nend\n',
  'goes on after its end': `exec ${SHOWS_ITSELF}\nend\narg b\n`,
  'has a line of another version': `exec ${SHOWS_ITSELF}\nnice 5\nend\n`,
  'names a program that is not there': 'exec /nonexistent/vmm\nend\n',
})) {
  test(`becomes nothing when the answer ${what}`, { skip }, async t => {
    const { launch } = await prepare(t, says(answer));
    const { exitCode, stderr, stdout } = await launch(['demo']);
    t.equal(exitCode, 1);
    t.equal(stdout, '');
    t.match(stderr, /^vmsecretd-launch: VM demo: /);
  });
}

test('says what to do when no daemon is reached', { skip }, async t => {
  const { launch, runtime } = await prepare(t);
  const { exitCode, stderr } = await launch(['demo']);
  t.equal(exitCode, 1);
  t.match(stderr, `not reached at ${runtime}/launch.sock: systemctl start vmsecretd.socket`);
});

/** A `sleep` that takes no time; a line in FOLDER/sleeps for each. */
function withoutSleep(folder: string): Record<string, string> {
  writeFileSync(join(folder, 'sleep'), `#!/bin/sh\necho "$1" >> ${folder}/sleeps\n`, { mode: 0o755 });
  return { PATH: `${folder}${delimiter}${process.env.PATH}` };
}

test('asks until it is heard when the daemon ends in the middle of it, or others are in front', {
  skip,
}, async t => {
  let requests = 0;
  const { launch, cwd } = await prepare(t, (request, response, body) => {
    requests += 1;
    if (requests <= 20) request.socket.destroy();
    else says(`exec ${SHOWS_ITSELF}\nend\n`)(request, response, body);
  });
  const { exitCode } = await launch(['demo'], withoutSleep(cwd));
  t.strictSame({ exitCode, requests }, { exitCode: 0, requests: 21 });
});

test('asks a few times where nobody listens on the socket, and then says so', { skip }, async t => {
  const { launch, cwd, runtime } = await prepare(t);
  await leaveSocket(join(runtime, 'launch.sock'));
  const { exitCode, stderr } = await launch(['demo'], withoutSleep(cwd));
  t.equal(exitCode, 1);
  t.match(stderr, 'is not reached at');
  t.equal(readFileSync(join(cwd, 'sleeps'), 'utf8'), '1\n'.repeat(4));
});

for (const args of [
  [],
  [''],
  ['../x'],
  ['a/b'],
  ['-x'],
  ['a b'],
  ['x'.repeat(65)],
  ['a', 'b'],
  ['--stop', 'a', '--'],
  ['--stop'],
]) {
  test(`refuses the arguments ${JSON.stringify(args)}`, { skip }, async t => {
    const { launch } = await prepare(t, says(`exec ${SHOWS_ITSELF}\nend\n`));
    const { exitCode, stdout } = await launch(args);
    t.strictSame({ exitCode, stdout }, { exitCode: 2, stdout: '' });
  });
}

test('leaves a link where the command line asked for another API socket', { skip }, async t => {
  const { launch, cwd, runtime } = await prepare(t, says(`exec ${SHOWS_ITSELF}\nlink demo.sock\nend\n`));
  const link = join(cwd, 'demo.sock');

  t.equal((await launch(['demo'])).exitCode, 0);
  t.equal(readlinkSync(link), join(runtime, 'vms/demo/api.sock'));

  t.equal((await launch(['demo'])).exitCode, 0, 'an old link is replaced');
  t.ok(lstatSync(link).isSymbolicLink());
});

test('does what the answer of docs/systemd.md says', { skip }, async t => {
  let answer = '';
  const { launch, cwd, runtime } = await prepare(t, (...args) => says(answer)(...args));
  mkdirSync(join(runtime, 'vms/demo'), { recursive: true });
  answer = readBlock('docs/systemd.md', 'exec ')
    .replace('/usr/bin/cloud-hypervisor', SHOWS_ITSELF)
    .replace('/var/lib/microvms/NAME', cwd);
  const { exitCode, stdout } = await launch(['demo']);
  t.equal(exitCode, 0);
  t.match(stdout, 'argument <--api-socket>\nargument <path=/run/vmsecretd/vms/NAME/api.sock>');
  t.equal(readlinkSync(join(cwd, 'demo.sock')), join(runtime, 'vms/demo/api.sock'));
  t.equal(readFileSync(join(runtime, 'vms/demo/stop-timeout'), 'utf8'), '90\n');
});

test('keeps for --stop how long the guest has to power off', { skip }, async t => {
  const { launch, runtime } = await prepare(t, says(`exec ${SHOWS_ITSELF}\nstop-timeout 300\nend\n`));
  t.match(
    (await launch(['demo'])).stderr,
    /vms\/demo cannot be written: the unit needs RuntimeDirectory=vmsecretd\/vms\/demo$/,
  );
  mkdirSync(join(runtime, 'vms/demo'), { recursive: true });
  t.equal((await launch(['demo'])).exitCode, 0);
  t.equal(readFileSync(join(runtime, 'vms/demo/stop-timeout'), 'utf8'), '300\n');
});

test('replaces a stale socket by the link, and nothing else', { skip }, async t => {
  const { launch, cwd, runtime } = await prepare(t, says(`exec ${SHOWS_ITSELF}\nlink demo.sock\nend\n`));
  const link = join(cwd, 'demo.sock');

  await leaveSocket(link);
  t.ok(lstatSync(link).isSocket());
  t.equal((await launch(['demo'])).exitCode, 0);
  t.equal(readlinkSync(link), join(runtime, 'vms/demo/api.sock'));

  unlinkSync(link);
  const other = createServer((_, response) => response.end()).listen(link);
  await once(other, 'listening');
  const refused = await launch(['demo']);
  t.match(refused.stderr, /another program listens there/);
  t.equal(refused.exitCode, 1);
  other.closeAllConnections();
  other.close();
  await once(other, 'close');

  writeFileSync(link, 'a file of the user');
  t.match((await launch(['demo'])).stderr, /a file that is no socket is there/);
  unlinkSync(link);
  mkdirSync(link);
  t.match((await launch(['demo'])).stderr, /a file that is no socket is there/);
});

/** Only a process that is ended leaves its socket behind. */
function leaveSocket(path: string) {
  const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  return execa(process.execPath, ['-e', listen, '--'], { reject: false });
}

test('needs no more than a POSIX shell', { skip: skip || whyNotOnPath('bash') }, async t => {
  const { runtime, cwd } = await prepare(t, says(`exec ${SHOWS_ITSELF}\narg a b\nend\n`));
  const { stdout } = await execa('bash', ['--posix', LAUNCHER, 'demo'], {
    cwd,
    env: { VMSECRETD_RUNTIME_DIRECTORY: runtime },
  });
  t.match(stdout, 'argument <a b>');
  t.notOk(existsSync(join(cwd, 'demo.sock')));
});
