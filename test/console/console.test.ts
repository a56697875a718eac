import { once } from 'node:events';
import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { Console } from '../../src/console/console.js';
import { socketFolder } from '../setup/socket-folder.js';

const BYTES_ONE_BY_ONE = 1_000;

/** A console socket as a VMM has it. */
async function listen(t: Test) {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer();
  const client = once(server, 'connection') as Promise<[Socket]>;
  await once(server.listen(path), 'listening');
  t.teardown(async () => {
    server.close();
    (await client)[0].destroy();
  });
  return { path, client: client.then(([socket]) => socket) };
}

async function until(readable: Readable, text: string): Promise<string> {
  let content = '';
  for await (const chunk of readable.iterator({ destroyOnReturn: false })) {
    content += chunk.toString('latin1');
    if (content.includes(text)) return content;
  }
  throw new Error(`ended after ${content}`);
}

test('keeps what a socket said, and gives it to followers before what comes', async t => {
  const { path, client } = await listen(t);
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'socket', path });
  const vmm = await client;
  const early = console.follow();
  vmm.write('one');
  await until(early, 'one');
  const late = console.follow();
  vmm.write('two');
  t.equal(await until(late, 'two'), 'onetwo');
  vmm.end();
  await console.disconnect();
  t.equal(console.recent().toString(), 'onetwo', 'also when the VMM is gone');
});

test('keeps the last 256 KiB', async t => {
  const { path, client } = await listen(t);
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'socket', path });
  (await client).end(
    Buffer.concat([Buffer.alloc(100_000, 'a'), Buffer.alloc(256 * 1024, 'b'), Buffer.from('c')]),
  );
  await console.disconnect();
  t.strictSame(console.recent(), Buffer.concat([Buffer.alloc(256 * 1024 - 1, 'b'), Buffer.from('c')]));
});

test('writes input to the socket, and says when there is none', async t => {
  const console = new Console();
  t.teardown(() => console.disconnect());
  t.equal(await console.write(Buffer.from('x')), false);
  const { path, client } = await listen(t);
  await console.connect({ kind: 'socket', path });
  const input = once(await client, 'data');
  t.equal(await console.write(Buffer.from('root\n')), true);
  t.equal(String((await input)[0]), 'root\n');
});

test('drops a follower that does not read rather than keep all for it', async t => {
  const { path, client } = await listen(t);
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'socket', path });
  const closed = once(console.follow(), 'close');
  (await client).end(Buffer.alloc(3 * 1024 * 1024));
  await closed;
});

test('follows a log from its first byte on, and reads the rest at the end', async t => {
  const path = join(t.testdir(), 'console.log');
  writeFileSync(path, 'one');
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'log', path, inputSocket: '/nowhere' });
  t.equal(console.recent().toString(), 'one');
  const follower = console.follow();
  appendFileSync(path, 'two');
  await until(follower, 'two');
  appendFileSync(path, 'three');
  await console.disconnect();
  t.equal(console.recent().toString(), 'onetwothree');
  t.equal(await console.write(Buffer.from('x')), false);
});

test('a log that grows byte by byte is kept as its bytes, and so it is for who does not read', async t => {
  const path = join(t.testdir(), 'console.log');
  writeFileSync(path, '');
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'log', path });
  const reader = console.follow();
  console.follow();
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < BYTES_ONE_BY_ONE; count += 1) {
    appendFileSync(path, '.');
    await once(reader, 'data');
  }
  const held = process.memoryUsage().arrayBuffers - before;
  t.equal(console.recent().length, BYTES_ONE_BY_ONE);
  t.ok(held < BYTES_ONE_BY_ONE * 4_096, `${held} bytes held`);
});

test('forgets what the last VMM printed when it listens to another', async t => {
  const path = join(t.testdir(), 'console.log');
  writeFileSync(path, 'old');
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'log', path });
  await console.connect(undefined);
  t.equal(console.recent().length, 0);
});

test('connects again after a pause, however often a VMM closes', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer(socket => socket.on('error', () => {}).end('x'));
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const console = new Console();
  const beganAt = performance.now();
  await console.connect({ kind: 'socket', path });
  for (let connections = 0; connections < 5; connections += 1) await once(server, 'connection');
  t.ok(performance.now() - beganAt > 150, 'four pauses of 50 ms at least');
  await console.disconnect();
});

test('a guest that runs may have no socket for a moment: one that starts must have it', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const console = new Console();
  await t.rejects(console.connect({ kind: 'socket', path }), { code: 'ENOENT' });
  await console.connect({ kind: 'socket', path }, { isRunning: true });
  const server = createServer(socket => socket.end('after its reboot'));
  t.teardown(() => server.close());
  await once(server.listen(path), 'listening');
  t.match(await until(console.follow(), 'after its reboot'), 'after its reboot');
  await console.disconnect();
});

test('gives way to itself for what a full socket kept back, and is typed into all the same', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer({ allowHalfOpen: true });
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const console = new Console();
  t.teardown(() => console.disconnect());
  const connected = once(server, 'connection') as Promise<[Socket]>;
  await console.connect({ kind: 'socket', path });
  const [first] = await connected;
  const full = 'f'.repeat(277);
  first.write(full);
  await once(first.resume(), 'end');
  const another = once(server, 'connection') as Promise<[Socket]>;
  const typed = console.write(Buffer.from('typed'));
  first.end('last');
  const [second] = await another;
  second.write('rest');
  await until(console.follow(), 'rest');
  t.equal(console.recent().toString(), `${full}lastrest`);
  t.equal(await typed, true);
  t.equal((await once(second, 'data')).toString(), 'typed');
  second.end();
});

test('keeps its connection to a VMM that keeps nothing, however full it was', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer();
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const console = new Console();
  const connected = once(server, 'connection') as Promise<[Socket]>;
  await console.connect({ kind: 'socket', path, keepsOutput: false });
  const [socket] = await connected;
  let ended = false;
  socket.resume().once('end', () => {
    ended = true;
  });
  socket.write('f'.repeat(277));
  await until(console.follow(), 'f'.repeat(277));
  // Longer than a connection that was full is kept otherwise.
  await delay(600);
  t.equal(ended, false);
  await console.disconnect();
  socket.destroy();
});

test('follows a log that the VMM begins anew at a reboot', async t => {
  const path = join(t.testdir(), 'console.log');
  writeFileSync(path, 'the first boot');
  const console = new Console();
  t.teardown(() => console.disconnect());
  await console.connect({ kind: 'log', path });
  const follower = console.follow();
  await until(follower, 'the first boot');
  truncateSync(path);
  appendFileSync(path, 'second');
  await until(follower, 'second');
  t.equal(console.recent().toString(), 'the first bootsecond');
});

test('waits for the rest no longer than a moment: somebody else may hold the socket', async t => {
  const { path, client } = await listen(t);
  const console = new Console();
  await console.connect({ kind: 'socket', path });
  (await client).write('last words');
  await until(console.follow(), 'last words');
  await console.disconnect();
  t.equal(console.recent().toString(), 'last words');
});

test('closes a connection that comes about while it disconnects', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer();
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const console = new Console();
  const first = once(server, 'connection') as Promise<[Socket]>;
  await console.connect({ kind: 'socket', path });
  (await first)[0].destroy();
  // The server runs in this process: it is told of the connection before who connects is.
  const [second] = (await once(server, 'connection')) as [Socket];
  t.teardown(() => second.destroy());
  const ended = once(second.resume(), 'end');
  await console.disconnect();
  await ended;
});

test('what is typed waits for a guest that does not read, and is not typed where its VMM ends', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer({ pauseOnConnect: true });
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  const console = new Console();
  t.teardown(() => console.disconnect());
  const more = Buffer.alloc(1024 * 1024, 't');
  for (const reads of [true, false]) {
    const connected = once(server, 'connection') as Promise<[Socket]>;
    await console.connect({ kind: 'socket', path });
    const [socket] = await connected;
    let isTyped: boolean | undefined;
    const typed = console.write(more).then(result => {
      isTyped = result;
    });
    await delay(50);
    t.equal(isTyped, undefined);
    if (reads) socket.resume();
    else socket.destroy();
    await typed;
    t.equal(isTyped, reads);
    await console.disconnect();
    socket.destroy();
  }
});
