import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import {
  isSameProcess,
  parseCgroup,
  parseListeningInodes,
  parseStartTime,
  processListensOn,
  readProcess,
} from '../../src/system/procfs.js';
import { socketFolder } from '../setup/socket-folder.js';

t.test('reads this process as it is', async t => {
  const facts = await readProcess(process.pid);
  t.match(facts, {
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    workingDirectory: process.cwd(),
  });
  t.equal(facts?.argv[0], process.argv0);
  t.ok(facts?.argv.includes(process.argv[1] ?? ''));
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

t.test('keeps empty and odd arguments', async t => {
  const child = execa('sh', ['-c', 'read -r line', 'name', '', 'two words', 'new\nline']);
  const facts = await readProcess(child.pid ?? 0);
  t.strictSame(facts?.argv.slice(3), ['name', '', 'two words', 'new\nline']);
  child.stdin?.end('\n');
  await child;
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
  const header = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
  const line = (flags: string, type: string): string =>
    `${header}ffff8880: 00000002 00000000 ${flags} ${type} 01 12345 /run/a b.sock\n`;
  t.strictSame([...parseListeningInodes(line('00010000', '0001'), '/run/a b.sock')], ['12345']);
  t.equal(parseListeningInodes(line('00000000', '0001'), '/run/a b.sock').size, 0);
  t.equal(parseListeningInodes(line('00010000', '0002'), '/run/a b.sock').size, 0);
  t.equal(parseListeningInodes(line('00010000', '0001'), '/run/a').size, 0);
  t.end();
});
