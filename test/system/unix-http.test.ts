import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { requestUnix } from '../../src/system/unix-http.js';
import { socketFolder } from '../setup/socket-folder.js';

/** A server that answers the first bytes of each connection as `answer` does; what was sent is kept. */
async function listen(t: Test, answer: (socket: Socket) => void) {
  const socketPath = join(socketFolder(t), 'http.sock');
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}));
    socket.once('data', bytes => {
      received.push(bytes.toString('latin1'));
      answer(socket);
    });
  });
  await once(server.listen(socketPath), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { received, request: { socketPath, method: 'PUT', path: '/a', timeoutMs: 10_000 } };
}

test('sends the body with its length and gives status and body of the answer', async t => {
  const { received, request } = await listen(t, socket =>
    socket.write('HTTP/1.1 201 x\r\nContent-Length: 3\r\n\r\n\0\xff!', 'latin1'),
  );
  const answer = await requestUnix({ ...request, body: Buffer.from('héllo'), headers: { 'x-a': 'b' } });
  t.strictSame(answer, { status: 201, body: Buffer.from([0, 255, 33]) });
  t.match(received[0], /^PUT \/a HTTP\/1\.1\r\n/);
  t.match(received[0]?.toLowerCase(), /content-length: 6\r\n/);
  t.match(received[0]?.toLowerCase(), /x-a: b\r\n/);
});

test('rejects an answer over 1 MiB, an endless one included', async t => {
  const { request } = await listen(t, socket => {
    socket.write('HTTP/1.1 200 x\r\n\r\n');
    const flood = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
      socket.once('drain', flood);
    };
    flood();
  });
  await t.rejects(requestUnix(request), { code: 'EMSGSIZE' });
});

test('rejects at the deadline, whether the server says nothing or a byte at a time', async t => {
  const silent = await listen(t, () => {});
  await t.rejects(requestUnix({ ...silent.request, timeoutMs: 50 }), { code: 'ETIMEDOUT' });
  const slow = await listen(t, socket => {
    socket.write('HTTP/1.1 200 x\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 5);
    socket.once('close', () => clearInterval(timer));
  });
  await t.rejects(requestUnix({ ...slow.request, timeoutMs: 100 }), { code: 'ETIMEDOUT' });
});

test('rejects an answer that is cut off, and one that is no HTTP', async t => {
  const cut = await listen(t, socket => socket.end('HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nabc'));
  await t.rejects(requestUnix(cut.request), { code: 'ECONNRESET' });
  const nothing = await listen(t, socket => socket.end());
  await t.rejects(requestUnix(nothing.request), { code: 'ECONNRESET' });
  const other = await listen(t, socket => socket.end('SSH-2.0-x\r\n'));
  await t.rejects(requestUnix(other.request), { code: /^HPE_/ });
});

test('rejects an answer that changes the protocol, of which Node says nothing', async t => {
  const { request } = await listen(t, socket =>
    socket.write('HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
  );
  await t.rejects(requestUnix(request), { code: 'EPROTO' });
});

test('rejects with the system’s error where nobody listens, and when it is aborted', async t => {
  const request = { socketPath: join(socketFolder(t), 'none'), method: 'GET', path: '/', timeoutMs: 1000 };
  await t.rejects(requestUnix(request), { code: 'ENOENT' });
  const silent = await listen(t, () => {});
  const abort = new AbortController();
  const pending = requestUnix({ ...silent.request, signal: abort.signal });
  abort.abort();
  await t.rejects(pending, { name: 'AbortError' });
});
