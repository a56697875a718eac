// systemd/vmsecretd-launch: what --prepare leaves, and what becomes of it. The VMM is a program that shows how it was started;
// test/systemd/supervision.test.ts and others have the real one.
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { test } from 'tap';
import { untilRead } from '../../src/hypervisor/write-fifo.js';
import { readBlock } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { INVOCATION, LAUNCHER, listen, SHOWS_ITSELF, says, setUpLauncher } from './launcher-for-test.js';

const skip = whyNotOnPath('curl');

test('--prepare keeps the answer of the daemon for the launcher, which can read it', { skip }, async t => {
  const { launch, adminSocket, launchFile, cwd } = setUpLauncher(t);
  const asked: unknown[] = [];
  await listen(t, adminSocket, (request, response) => {
    asked.push({
      line: `${request.method} ${decodeURIComponent(request.url ?? '')}`,
      accept: request.headers.accept,
    });
    says('invocation x\nend\n')(request, response);
  });
  writeFileSync(launchFile, 'of the run before\n');
  t.match(await launch(['--prepare', 'demo']), { exitCode: 0, stdout: '', stderr: '' });
  const query = `invocation=${INVOCATION}&directory=${cwd}`;
  t.strictSame(asked, [{ line: `POST /v1/vms/demo/prepare?${query}`, accept: 'text/plain' }]);
  t.match(readFileSync(launchFile, 'utf8'), /^invocation x\nend\n/);
  t.equal(statSync(launchFile).mode & 0o777, 0o644);
});

test('--prepare prints what the daemon has to say, and fails', { skip }, async t => {
  const { launch, adminSocket, launchFile, vmFolder } = setUpLauncher(t);
  const detail = 'VM demo, credential API_KEY: /etc/secrets/api-key.age does not exist';
  await listen(t, adminSocket, says(`${detail}\n`, 422));
  const { exitCode, stderr, stdout } = await launch(['--prepare', 'demo']);
  t.strictSame({ exitCode, stdout }, { exitCode: 1, stdout: '' });
  t.equal(stderr.trim(), `vmsecretd-launch: ${detail}`);
  t.notOk(existsSync(launchFile));
  rmSync(vmFolder, { recursive: true });
  t.match(await launch(['--prepare', 'demo']), {
    exitCode: 1,
    stderr: /vms\/demo does not exist; the unit needs RuntimeDirectory=vmsecretd\/vms\/demo$/,
  });
});

/** A `sleep` that takes no time; a line in FOLDER/sleeps for each. */
function withoutSleep(folder: string): Record<string, string> {
  writeFileSync(join(folder, 'sleep'), `#!/bin/sh\necho "$1" >> ${folder}/sleeps\n`, { mode: 0o755 });
  return { PATH: `${folder}${delimiter}${process.env.PATH}` };
}

test('--prepare asks again when the daemon ends in the middle of it', { skip }, async t => {
  const { launch, adminSocket, cwd } = setUpLauncher(t);
  let requests = 0;
  await listen(t, adminSocket, (request, response) => {
    requests += 1;
    if (requests <= 20) request.socket.destroy();
    else says('end\n')(request, response);
  });
  t.equal((await launch(['--prepare', 'demo'], withoutSleep(cwd))).exitCode, 0);
  t.equal(requests, 21);
});

test('--prepare says what to do when no daemon is reached', { skip }, async t => {
  const { launch, adminSocket, cwd } = setUpLauncher(t);
  const message = `vmsecretd does not answer on ${adminSocket}; systemctl start vmsecretd-admin.socket`;
  t.match(await launch(['--prepare', 'demo']), { exitCode: 1, stderr: message }, 'no socket');
  await leaveSocket(adminSocket);
  t.match(await launch(['--prepare', 'demo'], withoutSleep(cwd)), { exitCode: 1, stderr: message });
  t.equal(
    readFileSync(join(cwd, 'sleeps'), 'utf8'),
    '1\n'.repeat(4),
    'where nobody listens it asks a few times',
  );
});

test('becomes the VMM on the socket that systemd made: same pid, private files', async t => {
  const { launch, leave, socket } = setUpLauncher(t);
  leave('arg --seccomp', `arg a b/\\'"$HOME"*`);
  const child = launch(['demo']);
  const { stdout, stderr, exitCode } = await child;
  t.strictSame({ stderr, exitCode }, { stderr: '', exitCode: 0 });
  t.strictSame(stdout.split('\n'), [
    `pid ${child.pid}`,
    'umask 0077',
    'MALLOC_ARENA_MAX 1',
    'LISTEN ',
    'argument <--api-socket>',
    'argument <fd=3>',
    `socket ${socket}`,
    'argument <--seccomp>',
    `argument <a b/\\'"$HOME"*>`,
  ]);
});

test('finds its socket by name, and by --hold when another program uses the descriptor', async t => {
  const { launch, leave, socket, runtime } = setUpLauncher(t);
  leave();
  t.match(await launch(['demo'], { LISTEN_FDS: '2', LISTEN_FDNAMES: 'other:vmsecretd-api' }), {
    stdout: /argument <fd=4>/,
  });
  for (const LISTEN_FDNAMES of ['', 'other']) {
    t.match(await launch(['demo'], { LISTEN_FDNAMES }), {
      exitCode: 1,
      stderr: /VM demo: systemd passed no API socket; the unit needs Sockets=vmsecretd-api@demo\.socket$/,
    });
  }
  const runner = `exec 3< ${runtime}; exec ${LAUNCHER} demo`;
  const held = await launch(['--hold', 'demo', '--', 'sh', '-c', runner]);
  t.match(held, { exitCode: 0, stdout: new RegExp(`argument <fd=(9|200)>\nsocket ${socket}$`) });
});

for (const [what, text] of Object.entries({
  'is cut short': `invocation ${INVOCATION}\nexec ${SHOWS_ITSELF}\n`,
  'is empty': '',
  'is of another run': `invocation ffff\nexec ${SHOWS_ITSELF}\nend\n`,
  'is of no run': `exec ${SHOWS_ITSELF}\nend\n`,
  'names no program': `invocation ${INVOCATION}\nend\n`,
  'names a program that does not exist': `invocation ${INVOCATION}\nexec /nonexistent/vmm\nend\n`,
})) {
  test(`becomes nothing when what was prepared ${what}`, async t => {
    const { launch, launchFile } = setUpLauncher(t);
    writeFileSync(launchFile, text);
    const { exitCode, stderr, stdout } = await launch(['demo']);
    t.strictSame({ exitCode, stdout }, { exitCode: 1, stdout: '' });
    t.match(stderr, /^vmsecretd-launch: VM demo: /);
  });
}

test('becomes nothing when nothing was prepared', async t => {
  const { launch } = setUpLauncher(t);
  t.match(await launch(['demo']), {
    exitCode: 1,
    stderr: /the unit needs ExecStartPre=\+vmsecretd-launch --prepare demo$/,
  });
});

test('a command line goes to the daemon by a file, and the options of the process to the VMM', async t => {
  const { launch, leave, vmFolder, cwd, apiSocket } = setUpLauncher(t);
  leave(
    'arg --seccomp',
    'target /a',
    'link /of/the/definition',
    'channel 8889 /run/reports/report.sock',
    'channel 8890 /run/reports/credentials.sock',
  );
  const command = [
    ...[
      'cloud-hypervisor',
      '--kernel',
      'a b',
      '--cmdline',
      'quiet\nline "$x" *',
      '--api-socket',
      'demo.sock',
    ],
    ...['--vsock', 'cid=3,socket=notify.vsock', '--serial=socket=serial.sock', '--seccomp', 'log', '-vv'],
    ...['--net', 'tap=a', '', '--log-file=vmm.log'],
  ];
  const { exitCode, stdout, stderr } = await launch(['demo', '--', ...command]);
  t.strictSame({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  t.strictSame(
    stdout.split('\n').filter(line => line.startsWith('argument')),
    ['--api-socket', 'fd=3', '--seccomp', 'log', '-vv', '--log-file=vmm.log'].map(
      word => `argument <${word}>`,
    ),
  );
  t.equal(readFileSync(join(vmFolder, 'command'), 'utf8'), command.map(word => `${word}\0`).join(''));
  t.equal(statSync(join(vmFolder, 'command')).mode & 0o777, 0o600);
  t.equal(readlinkSync(join(cwd, 'demo.sock')), apiSocket);
  t.equal(readlinkSync(join(cwd, 'notify.vsock_8889')), '/run/reports/report.sock');
  t.equal(readlinkSync(join(cwd, 'notify.vsock_8890')), '/run/reports/credentials.sock');

  leave();
  t.equal((await launch(['demo'])).exitCode, 0);
  t.notOk(existsSync(join(vmFolder, 'command')), 'a later run has none of it');
  leave('needs-command ');
  t.match(await launch(['demo']), { exitCode: 1, stderr: /has no command; add one, .* -- COMMAND$/ });
  t.match(await launch(['demo', '--', 'vmm', '--api-socket', 'fd=3']), {
    exitCode: 1,
    stderr: /--api-socket fd= is systemd's own here/,
  });
});

test('leaves links, in place of an old one or of a stale socket, and of nothing else', { skip }, async t => {
  const { launch, leave, cwd } = setUpLauncher(t);
  const link = join(cwd, 'demo.sock');
  leave('target /run/vmsecretd/api/demo.sock', `link ${link}`);
  for (const before of ['nothing', 'an old link', 'a stale socket']) {
    if (before === 'a stale socket') {
      rmSync(link);
      await leaveSocket(link);
      t.ok(lstatSync(link).isSocket());
    }
    t.equal((await launch(['demo'])).exitCode, 0, before);
    t.equal(readlinkSync(link), '/run/vmsecretd/api/demo.sock');
  }

  rmSync(link);
  const other = createServer((_, response) => response.end()).listen(link);
  await once(other, 'listening');
  t.match(await launch(['demo']), { exitCode: 1, stderr: /another program listens there/ });
  other.closeAllConnections();
  other.close();
  await once(other, 'close');

  writeFileSync(link, 'a file of the user');
  t.match(await launch(['demo']), { exitCode: 1, stderr: /a file that is not a socket is there/ });
  t.equal(readFileSync(link, 'utf8'), 'a file of the user');
  rmSync(link);
  mkdirSync(link);
  t.match(await launch(['demo']), { exitCode: 1, stderr: /a file that is not a socket is there/ });
});

test('frees the sockets on which a killed VMM listened', { skip }, async t => {
  const { launch, leave, cwd } = setUpLauncher(t);
  await leaveSocket(join(cwd, 'vsock.sock'));
  leave(`free ${join(cwd, 'vsock.sock')}`);
  t.equal((await launch(['demo'])).exitCode, 0);
  t.notOk(existsSync(join(cwd, 'vsock.sock')));
  await leaveSocket(join(cwd, 'own.sock'));
  t.equal((await launch(['demo', '--', 'vmm', '--vsock', 'cid=3,socket=own.sock'])).exitCode, 0);
  t.notOk(existsSync(join(cwd, 'own.sock')));
});

test('does what the file of docs/systemd.md says', { skip }, async t => {
  const { launch, launchFile, cwd } = setUpLauncher(t);
  const text = readBlock('docs/systemd.md', 'invocation ')
    .replace(/^invocation .*/, `invocation ${INVOCATION}`)
    .replace('/usr/bin/cloud-hypervisor', SHOWS_ITSELF)
    .replaceAll('/var/lib/microvms/demo', cwd);
  writeFileSync(launchFile, text);
  const { exitCode, stdout, stderr } = await launch(['demo']);
  t.strictSame({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  t.match(stdout, /argument <--api-socket>\nargument <fd=3>\n/);
  t.equal(readlinkSync(join(cwd, 'demo.sock')), '/run/vmsecretd/api/demo.sock');
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
  ['--prepare'],
  ['--prepare', '../x'],
  ['--hold', 'a'],
]) {
  test(`refuses the arguments ${JSON.stringify(args)}`, async t => {
    const { exitCode, stdout } = await setUpLauncher(t).launch(args);
    t.strictSame({ exitCode, stdout }, { exitCode: 2, stdout: '' });
  });
}

/** Only a process that is ended leaves its socket behind. */
function leaveSocket(path: string) {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  return execa(process.execPath, ['-e', script, '--'], { reject: false });
}

test('needs no more than a POSIX shell', { skip: whyNotOnPath('bash') }, async t => {
  const { leave, launch } = setUpLauncher(t);
  leave('arg a b');
  const { stdout } = await launch(['demo'], {}, ['bash', '--posix']);
  t.match(stdout, 'argument <a b>');
});

test('hands over the network devices of its command line once there is a VM', async t => {
  const { launch, leave, launchFile, vmFolder, runtime, cwd, apiSocket } = setUpLauncher(t);
  leave();
  // It is refused until the VM is created.
  writeFileSync(
    join(runtime, 'ch-remote'),
    `#!/bin/sh\necho "$*" >> ${cwd}/asked; [ "$(wc -l < ${cwd}/asked)" -gt 2 ]\n`,
  );
  chmodSync(join(runtime, 'ch-remote'), 0o755);
  const vmm = join(runtime, 'vmm');
  writeFileSync(vmm, `#!/bin/sh\nuntil [ -e ${vmFolder}/nets-added ]; do sleep 0.05; done\n`, {
    mode: 0o755,
  });
  writeFileSync(launchFile, `invocation ${INVOCATION}\nexec ${vmm}\nend\n`);
  const net = 'fd=[5],mac=02:00:00:00:00:01';
  t.equal((await launch(['demo', '--', 'vmm', '--net', net, 'tap=vm-demo'])).exitCode, 0);
  const asked = readFileSync(join(cwd, 'asked'), 'utf8').trim().split('\n');
  t.strictSame(asked, Array(3).fill(`--api-socket ${apiSocket} add-net ${net}`));
});

test('waits at a gate, and becomes QEMU on the descriptors of systemd’s sockets', async t => {
  const { launch, leave, vmFolder, runtime, launchFile } = setUpLauncher(t);
  const gate = join(runtime, 'gate');
  await execa('mkfifo', [gate]);
  const added = ['add -S', 'add-socket 0 socket,fd=', 'add-socket 3 port,fd=', `gate ${gate}`];
  const names = { LISTEN_FDNAMES: Array(4).fill('vmsecretd-api').join(':') };
  leave('hypervisor qemu', 'arg -append', 'arg ', ...added);
  const withSockets = ['sh', '-c', 'exec "$@" 4<&3 5<&3 6<&3', 'sh'];
  const words = async (args: readonly string[]) => {
    const child = launch(args, names, withSockets);
    // As the daemon does: it looks in first.
    await untilRead(gate, AbortSignal.timeout(20_000));
    await execa('sh', ['-c', `echo go > ${gate}`]);
    const { stdout, stderr } = await child;
    t.equal(stderr, '');
    return [...stdout.matchAll(/^argument <(.*)>$/gm)].map(([, word]) => word);
  };
  t.strictSame(await words(['demo']), ['-append', '', '-S', 'socket,fd=3', 'port,fd=6']);

  writeFileSync(launchFile, `invocation ${INVOCATION}\nhypervisor qemu\n${added.join('\n')}\nend\n`);
  const command = [SHOWS_ITSELF, '-m', '64', 'disk.img', ''];
  const expected = ['-m', '64', 'disk.img', '', '-S', 'socket,fd=3', 'port,fd=6'];
  t.strictSame(await words(['demo', '--', ...command]), expected, 'its first word is the program');
  t.equal(readFileSync(join(vmFolder, 'command'), 'utf8'), command.map(word => `${word}\0`).join(''));
  const held = await words(['--hold', 'demo', '--', LAUNCHER, 'demo', '--', ...command]);
  t.match(held.slice(-2), [/^socket,fd=(200|9)$/, /^port,fd=(197|6)$/]);
});

test('--prepare makes the FIFOs that QEMU reads, for the unit’s user and root', { skip }, async t => {
  const { launch, adminSocket, runtime, vmFolder } = setUpLauncher(t);
  if (process.getuid?.() === 0) chownSync(vmFolder, 65534, 65534);
  const paths = ['gate', 'oem-string-0'].map(name => join(runtime, 'fifos/demo', name));
  await listen(t, adminSocket, says(`invocation x\ngate ${paths[0]}\nfifo ${paths[1]}\nend\n`));
  // The second time in place of those of a start that was killed.
  for (const _ of ['first', 'second']) {
    t.match(await launch(['--prepare', 'demo']), { exitCode: 0, stderr: '' });
    for (const path of paths) {
      const { mode, uid, gid } = statSync(path);
      t.ok(statSync(path).isFIFO());
      const { uid: owner } = statSync(vmFolder);
      t.strictSame({ mode: mode & 0o777, uid, gid }, { mode: 0o660, uid: owner, gid: process.getgid?.() });
    }
  }
});
