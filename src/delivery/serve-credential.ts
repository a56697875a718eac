// Answers one request of a guest on a connection that the daemon handed over. Runs in the deliverer.
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { VmsecretdError } from '../errors.js';
import type { SecretValue } from '../secrets/secret-value.js';
import { answerLines, type CredentialRequest, parseRequest, refusalLine } from './credential-request.js';
import type { ServeResult } from './protocol.js';

export interface ServeOptions {
  socket: Socket;
  /** What was read of the connection already. */
  head: Buffer;
  /** A guest that neither asks nor reads, being paused say, is left after that; one that reads slowly after {@link SLOW} times as long. */
  timeoutMs: number;
  /** @returns undefined for a name that this guest may not ask for; the value is wiped once it is sent @throws VmsecretdError */
  open(name: string): Promise<SecretValue | undefined>;
}

const LIMIT_BYTES = 1_024;
const SLOW = 4;
/** Of a guest whose request is none. */
const NO_ID = '-';

export async function serveCredential({ socket, head, timeoutMs, open }: ServeOptions): Promise<ServeResult> {
  socket.on('error', () => {});
  const idle = setTimeout(() => socket.destroy(), timeoutMs);
  const late = setTimeout(() => socket.destroy(), SLOW * timeoutMs);
  try {
    const request = await readRequest(socket, head);
    if (request === undefined) {
      await send(socket, [refusalLine(NO_ID, 'invalid')]);
      return { outcome: 'invalid', unit: null, name: null, sizeBytes: null };
    }
    const result = await answer(socket, request, { open, onProgress: () => idle.refresh() });
    await untilTaken(socket);
    return result;
  } finally {
    clearTimeout(idle);
    clearTimeout(late);
    socket.destroy();
  }
}

async function answer(
  socket: Socket,
  { id, unit, name }: CredentialRequest,
  { open, onProgress }: Pick<ServeOptions, 'open'> & { onProgress(): void },
): Promise<ServeResult> {
  const asked = { unit: unit ?? null, name, sizeBytes: null };
  let value: SecretValue | undefined;
  try {
    value = await open(name);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    await send(socket, [refusalLine(id, 'unavailable')]);
    const { code, message, details } = error;
    return { outcome: 'unavailable', ...asked, failure: { code, message, details } };
  }
  if (value === undefined) {
    await send(socket, [refusalLine(id, 'unknown')]);
    // Whatever stands in place of a name is the guest's own text, for no log.
    return { outcome: 'unknown', ...asked, name: null };
  }
  const { sizeBytes } = value;
  // The lines are made as the guest reads them, so until then the value has to be there.
  const isSent = await value.open(bytes => send(socket, answerLines(id, bytes), onProgress));
  value.wipe();
  return { outcome: isSent ? 'delivered' : 'cut', ...asked, sizeBytes };
}

/** @returns whether all of it was taken */
async function send(socket: Socket, lines: Iterable<string>, onProgress = () => {}): Promise<boolean> {
  // The next one is taken when there is room for it.
  const taken = function* () {
    for (const line of lines) {
      onProgress();
      yield line;
    }
  };
  try {
    await pipeline(taken, socket);
    return true;
  } catch {
    return false;
  }
}

/**
 * The end of the connection would cut what is under way: QEMU drops what its guest has no room for as soon as its peer is gone. So the
 * other side ends it, once it has read to the end. A guest that sends more than its request waits for nothing.
 */
async function untilTaken(socket: Socket): Promise<void> {
  if (socket.closed) return;
  await new Promise(resolve => socket.once('close', resolve).once('data', resolve).resume());
}

/** @returns undefined where the first line is no request, or none came */
async function readRequest(socket: Socket, head: Buffer): Promise<CredentialRequest | undefined> {
  let bytes = head;
  const line = () => {
    const end = bytes.indexOf('\n');
    return end < 0 ? undefined : bytes.subarray(0, end).toString('latin1');
  };
  while (line() === '') bytes = bytes.subarray(1);
  if (line() === undefined) {
    bytes = await new Promise<Buffer>(resolve => {
      const done = () => {
        socket.pause().off('data', look).off('end', done).off('close', done);
        resolve(bytes);
      };
      const look = (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (line() === '') bytes = bytes.subarray(1);
        if (line() !== undefined || bytes.length > LIMIT_BYTES) done();
      };
      socket.on('data', look).on('end', done).on('close', done);
    });
  }
  return parseRequest(line() ?? '');
}
