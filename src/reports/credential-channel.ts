// The channel on which a guest asks for one credential at a time (docs/on-demand.md). Who serves it gets the connection itself:
// no value passes through this process, and over vsock not even the request does.
import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { ChannelPlan } from '../hypervisor/hypervisor.js';
import { connectDirectly } from '../system/connect-directly.js';
import { listenAsOwner, type SocketAccess } from './guest-channel.js';
import { type Rate, RequestRate } from './request-rate.js';

export interface CredentialChannelOptions extends SocketAccess {
  /**
   * Takes the connection over and settles when the answer is sent, or cannot be.
   * @param head what was read of it already: the request's line of a virtio-serial port, else nothing
   */
  serve(socket: Socket, head: Buffer): Promise<void>;
  /** How often, unless it is as {@link RATE} says. */
  rate?: Rate;
}

/** A guest that boots asks for everything at once, 255 credentials at most; then each takes a fresh deliverer, some 0.2 s of a CPU. */
const RATE: Rate = { burst: 256, intervalMs: 1_000 };
/** Beyond these the guest's next connections are refused. */
const MAXIMUM_CONNECTIONS = 16;
/** Each may hold a value of 1 MiB for as long as the guest reads it. */
const SERVED_AT_ONCE = 4;
/** `VMSECRETD_GET=1 `, an id, a unit and a name of at most 255 bytes each. */
export const REQUEST_LIMIT_BYTES = 1_024;
/** QEMU makes its sockets a few milliseconds after its start. */
const RECONNECT_MS = 20;
/** What is no request costs its guest that long. */
const PENALTY_MS = 1_000;

export async function openCredentialChannel(
  plan: ChannelPlan,
  options: CredentialChannelOptions,
): Promise<{ close(): Promise<void> }> {
  return plan.kind === 'vsock' ? listen(plan.path, options) : follow(plan.path, options);
}

async function listen(path: string, options: CredentialChannelOptions) {
  const closed = new AbortController();
  const limit = pLimit(SERVED_AT_ONCE);
  const rate = new RequestRate(options.rate ?? RATE);
  const waiting = new Set<Socket>();
  const serve = async (socket: Socket) => {
    try {
      await rate.take(closed.signal);
      await limit(async () => {
        closed.signal.throwIfAborted();
        await options.serve(socket, Buffer.alloc(0));
      });
    } finally {
      waiting.delete(socket);
      socket.destroy();
    }
  };
  // Nothing is read before the one who serves it does.
  const server = createServer({ pauseOnConnect: true }, socket => {
    socket.on('error', () => {});
    if (waiting.size < MAXIMUM_CONNECTIONS) {
      waiting.add(socket);
      serve(socket).catch(() => {});
    } else socket.destroy();
  });
  await listenAsOwner(server, path, options);
  return {
    close: async () => {
      closed.abort();
      for (const socket of waiting) socket.destroy();
      server.close();
    },
  };
}

/**
 * A port has one connection at a time, and its guest cannot make another: once a request is read the connection is handed over, and
 * its end makes place for the next one.
 */
async function follow(path: string, options: CredentialChannelOptions) {
  const closed = new AbortController();
  const { signal } = closed;
  const rate = new RequestRate(options.rate ?? RATE);
  const serveOnce = async () => {
    const socket = await connectDirectly(path).catch(() => undefined);
    if (socket === undefined) return RECONNECT_MS;
    const end = () => socket.destroy();
    signal.addEventListener('abort', end, { once: true });
    try {
      const line = await readRequestLine(socket);
      if (line === undefined) return PENALTY_MS;
      await rate.take(signal);
      await options.serve(socket, line);
      return 0;
    } finally {
      signal.removeEventListener('abort', end);
      socket.destroy();
    }
  };
  const serveAll = async () => {
    while (!signal.aborted) {
      const pauseMs = await serveOnce().catch(() => PENALTY_MS);
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
  };
  void serveAll();
  return { close: async () => closed.abort() };
}

const REQUEST = 'VMSECRETD_GET=';
/** Of what is no request: a line that was cut, by a guest that was reset say, is passed over. */
const PASSED_OVER_BYTES = 4_096;

/** @returns undefined: the connection ended, or has none */
function readRequestLine(socket: Socket): Promise<Buffer | undefined> {
  return new Promise(resolve => {
    let bytes = Buffer.alloc(0);
    let passedOver = 0;
    const done = (line: Buffer | undefined) => {
      socket.pause().off('data', look).off('close', ended);
      resolve(line);
    };
    const ended = () => done(undefined);
    const look = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n')) {
        const line = bytes.subarray(0, end + 1);
        if (line.length <= REQUEST_LIMIT_BYTES && line.indexOf(REQUEST) === 0) return done(line);
        passedOver += line.length;
        bytes = bytes.subarray(end + 1);
      }
      if (bytes.length > REQUEST_LIMIT_BYTES || passedOver > PASSED_OVER_BYTES) done(undefined);
    };
    socket
      .on('error', () => {})
      .on('close', ended)
      .on('data', look);
  });
}
