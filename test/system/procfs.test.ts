import { once } from 'node:events';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import {
  DESCRIPTOR_LIMIT,
  isSameProcess,
  parseCgroup,
  parseListeningInode,
  parseOneId,
  parseStartTime,
  processListensOn,
  readProcess,
  sameProcessListensOn,
} from '../../src/system/procfs.js';
import { spawnImposter } from '../setup/imposter.js';
import { whyNotOnPath } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';

t.test('reads this process as it is', async t => {
  const facts = await readProcess(process.pid);
  t.match(facts, {
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    workingDirectory: process.cwd(),
  });
  t.ok(await isSameProcess(process.pid, facts?.startTimeTicks ?? -1));
  t.notOk(
    await isSameProcess(process.pid, (facts?.startTimeTicks ?? 0) + 1),
    'a recycled pid is another process',
  );
});

t.test('gives null for a process that ended', async t => {
  const child = execa('cat', { reject: false });
  const pid = child.pid ?? 0;
  const facts = await readProcess(pid);
  t.equal(facts?.pid, pid);
  child.kill();
  await child;
  t.equal(await readProcess(pid), null);
  t.notOk(await isSameProcess(pid, facts?.startTimeTicks ?? -1));
  t.notOk(await processListensOn(pid, '/x'));
});

t.test('finds the start time behind any process name', t => {
  const rest = 'S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 0';
  t.equal(parseStartTime(`7 (name) ${rest}`), 4242);
  t.equal(parseStartTime(`7 (a) R 1 (b ) c) ${rest}`), 4242, 'a name may imitate the fields');
  t.equal(parseStartTime(`7 (name) ${rest.replace('S', 'Z')}`), null, 'a zombie runs no more');
  t.equal(parseStartTime(''), null);
  t.end();
});

t.test("takes systemd's own cgroup line", t => {
  t.equal(parseCgroup('0::/system.slice/a.service\n'), '/system.slice/a.service');
  t.equal(
    parseCgroup('4:memory:/m\n1:name=systemd:/system.slice/a.service\n0::/\n'),
    '/system.slice/a.service',
  );
  t.equal(parseCgroup('0::/odd:name\n'), '/odd:name');
  t.equal(parseCgroup('4:memory:/m\n'), null);
  t.end();
});

t.test('knows the sockets a process itself listens on', async t => {
  const socket = join(socketFolder(t), 'api.sock');
  const server = createServer().listen(socket);
  await once(server, 'listening');
  t.after(() => server.close());
  t.ok(await processListensOn(process.pid, socket));
  t.notOk(await processListensOn(process.pid, `${socket}x`));

  const other = execa('cat', { reject: false });
  t.after(() => other.kill());
  t.notOk(await processListensOn(other.pid ?? 0, socket), 'not by the path alone');
});

t.test('does not take a connected or a datagram socket for a listening one', t => {
  const line = (flags: string, type: string): string =>
    `ffff8880: 00000002 00000000 ${flags} ${type} 01 12345 /run/a b.sock`;
  t.equal(parseListeningInode(line('00010000', '0001'), '/run/a b.sock'), '12345');
  t.equal(parseListeningInode(line('00000000', '0001'), '/run/a b.sock'), undefined);
  t.equal(parseListeningInode(line('00010000', '0002'), '/run/a b.sock'), undefined);
  t.equal(parseListeningInode(line('00010000', '0001'), '/run/a'), undefined);
  t.equal(parseListeningInode('Num       RefCount Protocol Flags    Type St Inode Path', 'Path'), undefined);
  t.end();
});

const skip = whyNotOnPath('perl');

/** A process with many sockets of everybody's kind, and one of its own, the last. @returns its pid, once it listens */
async function spawnCrowd(t: Test, count: number, socket: string): Promise<number> {
  const script = `use Socket;
    sub listening { my $s; socket($s, AF_UNIX, SOCK_STREAM, 0) && bind($s, pack_sockaddr_un($_[0])) && listen($s, 1) or die; $s }
    my @crowd = map { listening(sprintf("\\0%05d$$", $_) . "x" x 80) } 1 .. ${count};
    my $own = listening($ARGV[0]);
    $| = 1; print "listens\n"; <STDIN>`;
  const child = execa('perl', ['-e', script, socket], { buffer: false });
  t.teardown(() => child.kill() && child.catch(() => {}));
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

t.test('finds a socket among thousands', { skip }, async t => {
  const socket = join(socketFolder(t), 'ä.sock');
  const pid = await spawnCrowd(t, DESCRIPTOR_LIMIT - 100, socket);
  t.ok(await processListensOn(pid, socket));
  t.notOk(await processListensOn(pid, `${socket}x`));
});

t.test('looks no further than the limit of descriptors', { skip }, async t => {
  const socket = join(socketFolder(t), 'api.sock');
  t.notOk(await processListensOn(await spawnCrowd(t, DESCRIPTOR_LIMIT, socket), socket));
});

t.test('has no working directory of which the kernel does not tell the path', { skip }, async t => {
  const facts = await readProcess(await spawnImposter(t, { DEEP: socketFolder(t) }));
  t.equal(facts?.workingDirectory, null);
});

t.test('takes no line from the name of a process', { skip }, async t => {
  const name = 'x\\rUid:\\t0\\t0\\t0\\t';
  const isRoot = process.getuid?.() === 0;
  const facts = await readProcess(await spawnImposter(t, { NAME: name, ...(isRoot ? { AS: '65534' } : {}) }));
  t.equal(facts?.uid, isRoot ? 65534 : process.getuid?.());
  for (const end of [0x0b, 0x0c, 0x0d, 0x85, 0x2028, 0x2029]) {
    const status = `Name:\tx${String.fromCodePoint(end)}Uid:\t0\t0\t0\t\nUid:\t7\t7\t7\t7\n`;
    t.equal(parseOneId(status, 'Uid'), 7, `U+${end.toString(16)} ends no line`);
  }
  t.equal(parseOneId('Uid:\t7\t0\t7\t7\n', 'Uid'), null, 'who is not one user is nobody');
});

t.test('asks for the start time once it is known who listens', async t => {
  const socket = join(socketFolder(t), 'api.sock');
  const server = createServer().listen(socket);
  await once(server, 'listening');
  t.after(() => server.close());
  const before = execa('cat', { reject: false });
  t.after(() => before.kill());
  const { startTimeTicks = -1 } = (await readProcess(before.pid ?? 0)) ?? {};

  // The pid that is asked for is that of `before`, until somebody looks who listens: then it is ours.
  const pid = 4_000_001;
  let owner = before.pid;
  const { opendir, readFile, readlink } = fs.promises;
  const { createReadStream } = fs;
  const redirect = (path: string) => path.replace(`/proc/${pid}/`, `/proc/${owner}/`);
  const replace = (functions: Partial<typeof fs>, promises: Partial<typeof fs.promises>) => {
    Object.assign(fs, functions);
    Object.assign(fs.promises, promises);
    syncBuiltinESMExports();
  };
  t.teardown(() => replace({ createReadStream }, { opendir, readFile, readlink }));
  replace(
    {
      createReadStream: ((path: string, options: 'utf8') =>
        createReadStream(redirect(path), options)) as typeof fs.createReadStream,
    },
    {
      opendir: (async (path: string) => {
        owner = process.pid;
        return opendir(redirect(path));
      }) as typeof opendir,
      readFile: (async (path: string, encoding: 'utf8') =>
        readFile(redirect(path), encoding)) as typeof readFile,
      readlink: (async (path: string) => readlink(redirect(path))) as typeof readlink,
    },
  );
  t.ok(await isSameProcess(pid, startTimeTicks), 'it was that process');
  t.ok(await processListensOn(pid, socket), 'who has its pid listens');
  owner = before.pid;
  t.notOk(await sameProcessListensOn({ pid, startTimeTicks }, socket), 'and is another now');
  const now = await readProcess(process.pid);
  t.ok(await sameProcessListensOn({ pid: process.pid, startTimeTicks: now?.startTimeTicks ?? -1 }, socket));
});
