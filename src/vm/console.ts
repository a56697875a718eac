// The serial console of one VM: its last 256 KiB from the first byte on, and whoever follows.
import { once } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConsolePlan } from '../hypervisor/hypervisor.js';
import { LOG_KEPT_BYTES } from '../supervisor/log-bound.js';
import { Backlog } from './backlog.js';
import { ConsoleFollower } from './console-follower.js';

const KEPT_BYTES = 256 * 1024;

/** Of a log at once. */
const READ_BYTES = 64 * 1024;

/** What a VMM has said is here long before; another process may hold its socket open for ever. */
const REST_MS = 500;

/** How soon a console is connected to again. */
const RECONNECT_MS = 50;

export class Console {
  readonly #kept = new Backlog(KEPT_BYTES);
  readonly #followers = new Set<ConsoleFollower>();
  #input: Promise<Socket | undefined> | undefined;
  /** Connects for input, at the first write. */
  #connectInput: (() => Promise<Socket | undefined>) | undefined;
  #disconnect: (() => Promise<void>) | undefined;

  /**
   * Forgets what the last VMM printed and listens to a new one. Throws where that has no socket, unless its guest runs
   * already: in the middle of a reboot it has none, and soon another.
   */
  async connect(plan: ConsolePlan | undefined, { isRunning = false } = {}): Promise<void> {
    await this.disconnect();
    this.#kept.clear();
    if (plan?.kind === 'socket') await this.#connectSocket(plan.path, isRunning);
    if (plan?.kind === 'log') await this.#followLog(plan);
  }

  /** Reads what is still to be read; called when the VMM is gone. */
  async disconnect(): Promise<void> {
    const disconnect = this.#disconnect;
    this.#disconnect = undefined;
    await disconnect?.();
    (await this.#input)?.destroy();
    this.#input = undefined;
    this.#connectInput = undefined;
  }

  /** @returns false where the VMM has no console that takes input */
  async write(bytes: Buffer): Promise<boolean> {
    this.#input ??= this.#connectInput?.();
    const input = await this.#input;
    if (input?.writable !== true) {
      this.#input = undefined;
      return false;
    }
    input.write(bytes);
    return true;
  }

  recent(): Buffer {
    return this.#kept.read();
  }

  /** What is kept, then everything that comes; ends when the reader goes. */
  follow(): Readable {
    const follower = new ConsoleFollower();
    follower.add(this.recent());
    this.#followers.add(follower);
    follower.once('close', () => this.#followers.delete(follower));
    return follower;
  }

  #append(bytes: Buffer): void {
    this.#kept.append(bytes);
    for (const follower of this.#followers) follower.add(bytes);
  }

  /** A guest's reboot closes the socket and makes a new one; the VMM keeps what is printed meanwhile. */
  async #connectSocket(path: string, isRunning: boolean): Promise<void> {
    const ended = new AbortController();
    let closed = Promise.resolve();
    let current: Socket | undefined;
    const follow = (socket: Socket) => {
      current = socket;
      this.#input = Promise.resolve(socket);
      socket.on('data', bytes => this.#append(bytes));
      // Not events.once: it rejects where a VMM that is killed resets the connection.
      closed = new Promise<void>(resolve => socket.once('close', () => resolve())).then(connectAgain);
    };
    const connectAgain = async () => {
      while (!ended.signal.aborted) {
        // First the pause: a VMM that takes connections only to close them would keep us busy.
        await delay(RECONNECT_MS, undefined, { signal: ended.signal }).catch(() => {});
        const again = ended.signal.aborted ? undefined : await connectTo(path).catch(() => undefined);
        if (again !== undefined) return follow(again);
      }
    };
    try {
      follow(await connectTo(path));
    } catch (error) {
      if (!isRunning) throw error;
      closed = connectAgain();
    }
    this.#disconnect = async () => {
      ended.abort();
      const isClosed = await Promise.race([closed.then(() => true), delay(REST_MS, false, { ref: false })]);
      if (!isClosed) current?.destroy();
    };
  }

  async #followLog(plan: Extract<ConsolePlan, { kind: 'log' }>): Promise<void> {
    const file = await open(plan.path);
    const reader = new LogReader(file, bytes => this.#append(bytes));
    const watcher: FSWatcher = watch(plan.path, () => void reader.read());
    await reader.read();
    const { inputSocket } = plan;
    this.#connectInput = async () => {
      const socket =
        inputSocket === undefined ? undefined : await connectTo(inputSocket).catch(() => undefined);
      // What comes back that way stands in the log, too.
      return socket?.resume();
    };
    this.#disconnect = async () => {
      watcher.close();
      await reader.read();
      await file.close();
    };
  }
}

async function connectTo(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  // What goes wrong later shows as the end of the VMM.
  socket.on('error', () => {});
  return socket;
}

/** Reads a growing file to its end, one read at a time. */
class LogReader {
  readonly #file: FileHandle;
  /** What it is given is valid until it returns. */
  readonly #onBytes: (bytes: Buffer) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #position = 0;
  #reading: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(file: FileHandle, onBytes: (bytes: Buffer) => void) {
    this.#file = file;
    this.#onBytes = onBytes;
  }

  /** Of those that have not begun one is enough: a guest that prints byte by byte asks faster than files are read. */
  read(): Promise<void> {
    this.#next ??= this.#reading.then(() => {
      this.#next = undefined;
      return this.#readToEnd();
    });
    this.#reading = this.#next;
    return this.#next;
  }

  async #readToEnd(): Promise<void> {
    for (;;) {
      // What is further behind may have been cut off by now.
      this.#position = Math.max(this.#position, (await this.#file.stat()).size - LOG_KEPT_BYTES);
      const { bytesRead } = await this.#file.read(this.#buffer, 0, READ_BYTES, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      this.#onBytes(this.#buffer.subarray(0, bytesRead));
    }
  }
}
