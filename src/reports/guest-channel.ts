// A channel on which a guest reports: a vsock port, which the VMM turns into connections to a UNIX socket of ours, or a
// virtio-serial port, to whose UNIX socket we connect. The guest is not trusted: every message is bounded.
import { lchown, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelPlan } from '../hypervisor/hypervisor.js';
import { connectDirectly } from '../system/connect-directly.js';
import type { UserIds } from '../system/users.js';

/** Who may connect to a socket of ours. */
export interface SocketAccess {
  /** Mode of a socket that the VMM connects to. */
  mode: number;
  /** Who the VMM runs as, where that is somebody else. */
  owner?: UserIds | undefined;
}

export interface GuestChannelOptions extends SocketAccess {
  limitBytes: number;
  /** Whether what has come so far is a whole message; the connection is closed then. */
  isComplete(bytes: Buffer): boolean;
  onMessage(bytes: Buffer): void;
  /** How long a guest that connected may say nothing. */
  silenceMs?: number;
}

export interface GuestChannel {
  close(): Promise<void>;
}

/** A guest that connects and says nothing holds nobody up for longer. */
const SILENCE_MS = 10_000;
/** A guest has one systemd and one report; more connections at once are refused. */
const MAXIMUM_CONNECTIONS = 16;
/** QEMU makes its sockets a few milliseconds after its start. */
const RECONNECT_MS = 20;

export async function openGuestChannel(
  plan: ChannelPlan,
  options: GuestChannelOptions,
): Promise<GuestChannel> {
  return plan.kind === 'vsock' ? listen(plan.path, options) : follow(plan.path, options);
}

async function listen(path: string, options: GuestChannelOptions): Promise<GuestChannel> {
  const connections = new Set<Socket>();
  const server = createServer(socket => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    readOne(socket, options);
  });
  server.maxConnections = MAXIMUM_CONNECTIONS;
  await listenAsOwner(server, path, options);
  return {
    close: async () => {
      for (const socket of connections) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

export async function listenAsOwner(
  server: Server,
  path: string,
  { mode, owner }: SocketAccess,
): Promise<void> {
  // Only the socket of an earlier start is removed; the folder is ours, or the path is the operator's choice.
  await rm(path, { force: true });
  await listenWithMode(server, path, mode);
  // Not chown: the folder may be the VMM's user's, who could have put a link there meanwhile.
  if (owner !== undefined) await lchown(path, owner.uid, owner.gid);
}

/** The socket has its mode from the first moment on; Node binds a UNIX socket before listen() returns. */
async function listenWithMode(server: Server, path: string, mode: number): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', resolve);
  });
  const umask = process.umask(0o777 & ~mode);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await listening;
}

/** systemd in the guest waits until we close (since 256 for every notification), so that happens at once. */
function readOne(socket: Socket, options: GuestChannelOptions): void {
  const { limitBytes } = options;
  const buffer = Buffer.alloc(limitBytes);
  let bytes = buffer.subarray(0, 0);
  let isTold = false;
  const tell = () => {
    if (!isTold && bytes.length > 0) options.onMessage(bytes);
    isTold = true;
    socket.destroy();
  };
  socket.setTimeout(options.silenceMs ?? SILENCE_MS, tell);
  socket.on('error', () => {});
  socket.on('end', tell);
  socket.on('data', chunk => {
    bytes = buffer.subarray(0, bytes.length + chunk.copy(buffer, bytes.length));
    if (bytes.length === limitBytes || options.isComplete(bytes)) tell();
  });
}

/** A port has no connections: one message follows the other, and a cut one may come before a whole one. */
async function follow(path: string, options: GuestChannelOptions): Promise<GuestChannel> {
  const closed = new AbortController();
  let socket: Socket | undefined;
  const connectOnce = async () => {
    while (!closed.signal.aborted) {
      const connected = await connectDirectly(path).catch(() => undefined);
      if (closed.signal.aborted) connected?.destroy();
      else if (connected !== undefined) {
        socket = connected;
        return readAll(connected, options);
      }
      await delay(RECONNECT_MS, undefined, { signal: closed.signal }).catch(() => {});
    }
  };
  void connectOnce();
  return {
    close: async () => {
      closed.abort();
      socket?.destroy();
    },
  };
}

function readAll(socket: Socket, options: GuestChannelOptions): void {
  const { limitBytes } = options;
  // Twice the limit: a guest that writes byte by byte has its message moved once for as many bytes, not for each.
  const buffer = Buffer.alloc(2 * limitBytes);
  let end = 0;
  socket.on('error', () => {});
  socket.on('data', chunk => {
    // The newest bytes count: what a guest sent before a cut is of no use.
    const newest = chunk.subarray(-limitBytes);
    if (end + newest.length > buffer.length) end = buffer.copy(buffer, 0, end - limitBytes, end);
    end += newest.copy(buffer, end);
    const bytes = buffer.subarray(Math.max(0, end - limitBytes), end);
    if (!options.isComplete(bytes)) return;
    options.onMessage(bytes);
    end = 0;
  });
}
