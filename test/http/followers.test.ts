// Followers of events and consoles: who does not read is dropped, and keeps neither memory nor the others.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, createServer as createConsole, type Socket } from 'node:net';
import { join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { Console } from '../../src/console/console.js';
import { addConsoleRoutes } from '../../src/http/routes/console.js';
import { addEventRoutes } from '../../src/http/routes/events.js';
import type { Vms } from '../../src/vm/vms.js';
import { socketFolder } from '../setup/socket-folder.js';
import { makeEvents } from '../vm/vm-for-test.js';

const FOLLOWERS = 100;
const SLOW = 40;
const TIMEOUT_MS = 30_000;
const CHUNK = Buffer.alloc(64 * 1024, 'x');
/** More than any backlog and the kernel's buffers together. */
const CHUNKS = 64;

interface Follower {
  socket: Socket;
  receivedBytes: number;
}

async function listen(t: Test, app: FastifyInstance): Promise<{ server: Server; path: string }> {
  await app.ready();
  const path = join(socketFolder(t), 'http.sock');
  const server = createServer((request, response) => app.routing(request, response));
  await once(server.listen(path), 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, path };
}

/** The first ones read; the others stop reading once they were answered. */
async function followAll(t: Test, socketPath: string, path: string): Promise<Follower[]> {
  return Promise.all(
    Array.from({ length: FOLLOWERS }, async (_, index) => {
      const socket = connect(socketPath);
      t.teardown(() => socket.destroy());
      socket.on('error', () => {});
      const follower = { socket, receivedBytes: 0 };
      socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      await once(socket, 'data');
      if (index >= FOLLOWERS - SLOW) socket.pause();
      else
        socket.on('data', bytes => {
          follower.receivedBytes += bytes.length;
        });
      return follower;
    }),
  );
}

async function untilReceived(readers: readonly Follower[], sizeBytes: number): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  for (const reader of readers)
    while (reader.receivedBytes < sizeBytes) await once(reader.socket, 'data', { signal });
}

function countConnections(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
}

/** `say` sends a chunk to everyone who follows. */
async function dropsTheSlow(
  t: Test,
  { server, path }: { server: Server; path: string },
  url: string,
  say: () => void,
): Promise<void> {
  const followers = await followAll(t, path, url);
  const readers = followers.slice(0, FOLLOWERS - SLOW);
  t.equal(await countConnections(server), FOLLOWERS);
  for (let chunk = 1; chunk <= CHUNKS; chunk += 1) {
    say();
    await untilReceived(readers, chunk * CHUNK.length);
  }
  t.equal(await countConnections(server), FOLLOWERS - SLOW, 'the slow ones were let go, and they alone');
  for (const { socket } of followers.slice(-SLOW)) {
    let leftBytes = 0;
    socket.on('data', bytes => {
      leftBytes += bytes.length;
    });
    await once(socket.resume(), 'close', { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (leftBytes >= CHUNKS * CHUNK.length) t.fail('a slow one had all of it kept for it');
  }
}

t.test(`drops ${SLOW} of ${FOLLOWERS} followers of events that do not read`, async t => {
  const events = makeEvents();
  const app = Fastify();
  addEventRoutes(app, { events, vms: {} as Vms });
  const text = CHUNK.toString();
  await dropsTheSlow(t, await listen(t, app), '/v1/events', () =>
    events.publish('outdated', 'web', { text }),
  );
});

t.test(`drops ${SLOW} of ${FOLLOWERS} followers of a console that do not read`, async t => {
  const socketPath = join(socketFolder(t), 'console.sock');
  // It goes on with a client that has nothing more to say.
  const guest = createConsole({ allowHalfOpen: true });
  await once(guest.listen(socketPath), 'listening');
  const client = once(guest, 'connection') as Promise<[Socket]>;
  const console = new Console();
  await console.connect({ kind: 'socket', path: socketPath });
  const [terminal] = await client;
  t.teardown(async () => {
    guest.close();
    terminal.destroy();
    await console.disconnect();
  });
  terminal.write('login: ');
  const app = Fastify();
  const vms = { get: () => ({ vm: { console } }) } as unknown as Vms;
  addConsoleRoutes(app, { vms, readConsole: vm => vm.console.follow() });
  await dropsTheSlow(t, await listen(t, app), '/v1/vms/web/console?follow=true', () => terminal.write(CHUNK));
});
