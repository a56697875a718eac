// The console of one VM: its last 256 KiB from the first byte on, and whoever follows.
import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { ConsolePlan } from '../hypervisor/hypervisor.js';
import { LOG_KEPT_BYTES } from '../system/log-bound.js';
import { Backlog } from './backlog.js';
import { ConsoleFollower } from './console-follower.js';
import { ConsoleSocket, connectTo } from './console-socket.js';

const KEPT_BYTES = 256 * 1024;

/** Of a log at once. */
const READ_BYTES = 64 * 1024;

export class Console {
  readonly #kept = new Backlog(KEPT_BYTES);
  readonly #followers = new Set<ConsoleFollower>();
  /** Where input goes, if anywhere. */
  #input: (() => Promise<Socket | undefined>) | undefined;
  #disconnect: (() => Promise<void>) | undefined;

  /**
   * Forgets what the last VMM printed and listens to a new one. Throws where that has no socket, unless its guest runs
   * already: in the middle of a reboot it has none, and soon another.
   */
  async connect(plan: ConsolePlan | undefined, { isRunning = false } = {}): Promise<void> {
    await this.disconnect();
    this.#kept.clear();
    if (plan?.kind === 'socket') await this.#connectSocket(plan, isRunning);
    if (plan?.kind === 'log') await this.#followLog(plan);
  }

  /** Reads what is still to be read; called when the VMM is gone. */
  async disconnect(): Promise<void> {
    const disconnect = this.#disconnect;
    this.#disconnect = undefined;
    this.#input = undefined;
    await disconnect?.();
  }

  /**
   * Settles once the VMM has room for all of it: what is typed while a guest does not read is not kept without end.
   * @returns false where the VMM has no console that takes input, or ends before
   */
  async write(bytes: Buffer): Promise<boolean> {
    const input = await this.#input?.();
    if (input?.writable !== true) return false;
    // Node tells the writes of a connection that was reset of no error.
    return new Promise(resolve => input.write(bytes, error => resolve(!error && !input.destroyed)));
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

  async #connectSocket(
    { path, keepsOutput }: Extract<ConsolePlan, { kind: 'socket' }>,
    isRunning: boolean,
  ): Promise<void> {
    const socket = new ConsoleSocket(path, bytes => this.#append(bytes), keepsOutput);
    await socket.connect({ mayComeLater: isRunning });
    this.#input = () => socket.input();
    this.#disconnect = () => socket.disconnect();
  }

  async #followLog({ path, inputSocket }: Extract<ConsolePlan, { kind: 'log' }>): Promise<void> {
    const file = await open(path);
    const reader = new LogReader(file, bytes => this.#append(bytes));
    const watcher: FSWatcher = watch(path, () => void reader.read());
    await reader.read();
    let input: Promise<Socket | undefined> | undefined;
    this.#input = async () => {
      if (inputSocket === undefined) return undefined;
      // What comes back that way stands in the log, too.
      input ??= connectTo(inputSocket).then(
        socket => socket.resume(),
        () => undefined,
      );
      const socket = await input;
      // Then the next write tries again.
      if (socket?.writable !== true) input = undefined;
      return socket;
    };
    this.#disconnect = async () => {
      watcher.close();
      await reader.read();
      await file.close();
      (await input)?.destroy();
    };
  }
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
      const { size } = await this.#file.stat();
      // cloud-hypervisor begins its file anew at a guest's reboot.
      if (size < this.#position) this.#position = 0;
      // What is further behind may have been cut off by now.
      this.#position = Math.max(this.#position, size - LOG_KEPT_BYTES);
      const { bytesRead } = await this.#file.read(this.#buffer, 0, READ_BYTES, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      this.#onBytes(this.#buffer.subarray(0, bytesRead));
    }
  }
}
