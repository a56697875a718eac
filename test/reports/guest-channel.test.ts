import { EventEmitter, once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { type GuestChannelOptions, openGuestChannel } from '../../src/reports/guest-channel.js';
import { socketFolder } from '../setup/socket-folder.js';

const LIMIT = 1_000;
const DEADLINE_MS = 20_000;

/** A channel whose messages end with "!". */
async function openChannel(t: Test, kind: 'vsock' | 'port', more: Partial<GuestChannelOptions> = {}) {
  const path = join(socketFolder(t), 'channel.sock');
  const messages: string[] = [];
  const told = new EventEmitter();
  const seen = { largestBytes: 0 };
  const channel = await openGuestChannel(
    { kind, path },
    {
      limitBytes: LIMIT,
      mode: 0o600,
      isComplete: bytes => {
        seen.largestBytes = Math.max(seen.largestBytes, bytes.length);
        return bytes.at(-1) === '!'.charCodeAt(0);
      },
      onMessage: bytes => {
        seen.largestBytes = Math.max(seen.largestBytes, bytes.length);
        messages.push(bytes.toString());
        told.emit('message');
      },
      ...more,
    },
  );
  t.teardown(() => channel.close());
  const untilTold = async (count: number) => {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (messages.length < count) await once(told, 'message', { signal });
  };
  return { path, messages, seen, untilTold, channel };
}

/** What the VMM does when a guest connects to the vsock port. */
async function connectGuest(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** Not once(): that rejects where the host closes a connection with bytes unread, which it may. */
function untilClosed(socket: Socket): Promise<unknown> {
  return socket.closed ? Promise.resolve() : new Promise(resolve => socket.once('close', resolve));
}

async function writeAll(socket: Socket, bytes: Buffer, times: number): Promise<void> {
  for (let written = 0; written < times && socket.writable; written += 1) {
    if (!socket.write(bytes))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
  }
}

test('vsock: closes a connection as soon as its message is whole', async t => {
  const { path, messages } = await openChannel(t, 'vsock');
  for (const word of ['one!', 'two!']) {
    const guest = await connectGuest(path);
    guest.write(word);
    await untilClosed(guest);
  }
  t.strictSame(messages, ['one!', 'two!']);
});

test('vsock: puts a message together, and takes the end of a connection for the end of it', async t => {
  const { path, messages, untilTold } = await openChannel(t, 'vsock');
  const first = await connectGuest(path);
  first.setNoDelay(true);
  for (const part of ['in ', 'three ', 'parts!']) await new Promise(resolve => first.write(part, resolve));
  await untilClosed(first);
  (await connectGuest(path)).end('without an end');
  await untilTold(2);
  t.strictSame(messages, ['in three parts!', 'without an end']);
});

test('vsock: a guest that says nothing is let go, and is no message', async t => {
  const { path, messages } = await openChannel(t, 'vsock', { silenceMs: 20 });
  await untilClosed(await connectGuest(path));
  t.strictSame(messages, []);
});

test('vsock: keeps no more than the limit of a message of 1 MB, and tells it once', async t => {
  const { path, messages, seen } = await openChannel(t, 'vsock');
  const guest = await connectGuest(path);
  await writeAll(guest, Buffer.alloc(65_536, 'x'), 16);
  await untilClosed(guest);
  t.strictSame(messages, ['x'.repeat(LIMIT)]);
  t.equal(seen.largestBytes, LIMIT);
});

test('vsock: refuses connections beyond its number, and serves the next guest', async t => {
  const { path, messages } = await openChannel(t, 'vsock');
  const guests = await Promise.all(Array.from({ length: 40 }, () => connectGuest(path)));
  await Promise.all(guests.slice(16).map(untilClosed));
  t.strictSame(guests.map(guest => guest.closed).indexOf(true), 16);
  for (const guest of guests) guest.destroy();
  const late = await connectGuest(path);
  late.write('late!');
  await untilClosed(late);
  t.strictSame(messages, ['late!']);
});

test('vsock: takes the place of an older socket, with the mode asked for', async t => {
  const { path, channel } = await openChannel(t, 'vsock', { mode: 0o666 });
  t.equal((await stat(path)).mode & 0o777, 0o666);
  await channel.close();
  await t.rejects(connectGuest(path), { code: /ENOENT|ECONNREFUSED/ });
});

/** QEMU's end of a virtio-serial port. */
async function openPort(t: Test, path: string): Promise<Socket> {
  const server = createServer();
  t.teardown(() => server.close());
  server.listen(path);
  const [socket] = (await once(server, 'connection', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [
    Socket,
  ];
  t.teardown(() => socket.destroy());
  return socket;
}

test('port: connects once the VMM listens, and reads one message after the other', async t => {
  const { path, messages, untilTold } = await openChannel(t, 'port');
  const guest = await openPort(t, path);
  guest.write('one!');
  await untilTold(1);
  guest.write('two, cu');
  guest.write('two!');
  await untilTold(2);
  t.strictSame(messages, ['one!', 'two, cutwo!']);
});

test('port: a flood without an end is bounded, and a message behind it is read', async t => {
  const { path, messages, seen, untilTold } = await openChannel(t, 'port');
  const guest = await openPort(t, path);
  await writeAll(guest, Buffer.alloc(65_536, 'x'), 256);
  guest.write('whole!');
  await untilTold(1);
  t.strictSame(messages, [`${'x'.repeat(LIMIT - 6)}whole!`]);
  t.equal(seen.largestBytes, LIMIT);
});

test('port: of what comes in small pieces the newest count, wherever a piece ends', async t => {
  const { path, messages, seen, untilTold } = await openChannel(t, 'port');
  const guest = await openPort(t, path);
  const sent = Array.from({ length: 700 }, (_, index) => `${index},`.padStart(7, 'x'));
  for (const piece of sent) await new Promise(resolve => guest.write(piece, resolve));
  guest.write('!');
  await untilTold(1);
  t.strictSame(messages, [`${sent.join('')}!`.slice(-LIMIT)]);
  t.equal(seen.largestBytes, LIMIT);
});
