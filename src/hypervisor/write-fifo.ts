// Hands bytes over through a FIFO of src/hypervisor/fifos.ts; refuses anything that is not a FIFO. Apart from what makes
// them, since a deliverer runs no program and need not load what does.
import { close, constants, fstat, open } from 'node:fs';
import { rm, unlink } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemErrorCode, VmsecretdError } from '../errors.js';

/** How long to wait before the VMM is looked for again at the other end: opening a FIFO for writing gives no event. */
const READER_POLL_MS = 2;
/** A launcher may have minutes of work before it reads. */
const LAUNCHER_POLL_MS = 10;

const OPEN_FLAGS = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/**
 * Hands `bytes` to the process that opens the FIFO for reading, and unlinks it as soon as that has happened. The caller
 * wipes `bytes`. Rejects with `vmm_timeout` when nobody has read all of it in time, with `vmm_refused` when the reader
 * closed it before the end; when `signal` aborts, with its reason. The FIFO is gone in each case.
 */
export async function writeFifo(
  path: string,
  bytes: Buffer,
  options: { signal?: AbortSignal; timeoutMs: number },
): Promise<void> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  try {
    const fifo = await openWhenRead(path, signal);
    await unlink(path);
    await writeAll(fifo, bytes, signal);
  } catch (error) {
    await rm(path, { force: true });
    options.signal?.throwIfAborted();
    throw deadline.aborted
      ? new VmsecretdError('vmm_timeout', `nobody read ${path} within ${options.timeoutMs} ms.`)
      : fifoError(path, error);
  }
}

/** Waits until a process reads a FIFO that may not be there yet; one that has it open for reading alone meets its end at once. */
export async function untilRead(path: string, signal: AbortSignal): Promise<void> {
  const fifo = await openWhenRead(path, signal, ['ENXIO', 'ENOENT'], LAUNCHER_POLL_MS).catch(error => {
    // The reason, such as why its unit failed, says more than that the wait was ended.
    signal.throwIfAborted();
    throw error;
  });
  await promisify(close)(fifo);
}

function fifoError(path: string, error: unknown): unknown {
  const code = systemErrorCode(error);
  if (code === 'EPIPE') {
    return new VmsecretdError('vmm_refused', `the VMM closed ${path} before it had read all of it.`);
  }
  if (code === undefined) return error;
  return new VmsecretdError('resource_conflict', `The FIFO ${path} cannot be written to: ${code}.`, {
    cause: error,
  });
}

/** Gives a file descriptor, not a FileHandle: the socket of `writeAll` takes it over and closes it. */
async function openWhenRead(
  path: string,
  signal: AbortSignal,
  // ENXIO: nobody reads it yet (fifo(7)).
  expected: readonly string[] = ['ENXIO'],
  pollMs = READER_POLL_MS,
): Promise<number> {
  for (;;) {
    signal.throwIfAborted();
    const fifo = await promisify(open)(path, OPEN_FLAGS).catch(error => {
      if (!expected.includes(systemErrorCode(error) ?? '')) throw error;
    });
    if (fifo !== undefined) return refuseUnlessFifo(fifo, path);
    await delay(pollMs, undefined, { signal });
  }
}

async function refuseUnlessFifo(file: number, path: string): Promise<number> {
  if ((await promisify(fstat)(file)).isFIFO()) return file;
  await promisify(close)(file);
  throw new VmsecretdError('resource_conflict', `${path} is no FIFO any more; nothing was written to it.`);
}

/** Writes as the reader makes room (a FIFO holds 64 KiB), without a thread that blocks; closes the file. */
async function writeAll(fifo: number, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const socket = new Socket({ fd: fifo, readable: false, writable: true });
  const abort = () => socket.destroy(new Error('aborted'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('close', () => resolve());
      socket.end(bytes);
    });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
