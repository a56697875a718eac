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
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { type Test, test } from 'tap';
import { readBlock } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';

const PROJECT_ROOT = join(import.meta.dirname, '../../..');
const LAUNCHER = join(PROJECT_ROOT, 'systemd/vmsecretd-launch');
const SHOWS_ITSELF = join(PROJECT_ROOT, 'test/fixtures/bin/shows-itself');
const API_SOCKET = 'vms/demo/api.sock';
const skip = whyNotOnPath('curl');

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** Listens on PATH with HTTP until the test ends. */
async function listen(t: Test, path: string, answer: Answer): Promise<void> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    answer(request, response, Buffer.concat(chunks).toString());
  });
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
}

function says(text: string, status = 200): Answer {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
  };
}

/** The launcher as a unit starts it, in a folder of its own, with a daemon that answers so; none without an answer. */
async function prepare(t: Test, answer?: Answer) {
  const runtime = socketFolder(t);
  const cwd = join(runtime, 'cwd');
  mkdirSync(cwd);
  if (answer !== undefined) await listen(t, join(runtime, 'launch.sock'), answer);
  const launch = (args: string[], environment: Record<string, string> = {}) =>
    execa(LAUNCHER, args, {
      cwd,
      reject: false,
      timeout: 20_000,
      env: { VMSECRETD_RUNTIME_DIRECTORY: runtime, ...environment },
    });
  return { runtime, cwd, launch };
}

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

/** A process that stands for the VMM, and a socket that its launcher asks: its own, or the daemon's. */
async function prepareVmm(t: Test, socket: string, answer: Answer) {
  const prepared = await prepare(t);
  mkdirSync(join(prepared.runtime, 'vms/demo'), { recursive: true });
  await listen(t, join(prepared.runtime, socket), answer);
  const vmm = execa('sleep', ['60'], { reject: false });
  t.teardown(() => vmm.kill('SIGKILL'));
  return { ...prepared, vmm, environment: { MAINPID: String(vmm.pid) } };
}

test('--wait ends when the daemon says that this very VMM runs', { skip }, async t => {
  const requests: string[] = [];
  const states = [
    { state: 'running', ready: true, pid: 1 },
    { state: 'starting', ready: false, pid: null },
  ];
  const { launch, environment } = await prepareVmm(t, 'vmsecretd.sock', (request, response, body) => {
    requests.push(`${request.method} ${request.url}`);
    const now = states.shift() ?? { state: 'running', ready: false, pid: Number(environment.MAINPID) };
    says(JSON.stringify({ name: 'demo', ...now, restarts: 0 }))(request, response, body);
  });
  const { exitCode, stdout } = await launch(['--wait', 'demo'], environment);
  t.strictSame({ exitCode, stdout }, { exitCode: 0, stdout: '' });
  t.strictSame(requests, Array(3).fill('GET /v1/vms/demo'));
});

test('--wait fails when the VMM is gone first', { skip }, async t => {
  const { launch, environment, vmm } = await prepareVmm(t, 'vmsecretd.sock', (request, response, body) => {
    vmm.kill('SIGKILL');
    says('{"state":"starting"}')(request, response, body);
  });
  const { exitCode, stderr } = await launch(['--wait', 'demo'], environment);
  t.equal(exitCode, 1);
  t.match(stderr, /VM demo: it was not booted/);
});

test('--stop presses the power button of a guest that runs again, and waits for the VMM', {
  skip,
}, async t => {
  const requests: string[] = [];
  const { launch, environment, vmm } = await prepareVmm(t, API_SOCKET, (request, response, body) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url?.endsWith('power-button')) vmm.kill('SIGTERM');
    says('', 204)(request, response, body);
  });
  const { exitCode } = await launch(['--stop', 'demo'], environment);
  t.equal(exitCode, 0);
  t.strictSame(requests, ['PUT /api/v1/vm.resume', 'PUT /api/v1/vm.power-button']);
});

test('--stop leaves the rest of the ladder to systemd', { skip }, async t => {
  const isDeaf = await prepareVmm(t, API_SOCKET, says('', 204));
  writeFileSync(join(isDeaf.runtime, 'vms/demo/stop-timeout'), '1\n');
  const late = await isDeaf.launch(['--stop', 'demo'], isDeaf.environment);
  t.equal(late.exitCode, 0);
  t.ok(late.durationMs >= 1000 && late.durationMs < 10_000, `it took ${late.durationMs} ms`);
  const hasNoVm = await prepareVmm(t, API_SOCKET, says('', 500));
  t.equal((await hasNoVm.launch(['--stop', 'demo'], hasNoVm.environment)).exitCode, 0);
  t.equal((await hasNoVm.launch(['--stop', 'demo'])).exitCode, 0, 'the VMM is gone');
});

test('needs no more than a POSIX shell', { skip: skip || whyNotOnPath('bash') }, async t => {
  const { runtime, cwd } = await prepare(t, says(`exec ${SHOWS_ITSELF}\narg a b\nend\n`));
  const { stdout } = await execa('bash', ['--posix', LAUNCHER, 'demo'], {
    cwd,
    env: { VMSECRETD_RUNTIME_DIRECTORY: runtime },
  });
  t.match(stdout, 'argument <a b>');
  t.notOk(existsSync(join(cwd, 'demo.sock')));
});
