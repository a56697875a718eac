// cloud-hypervisor's serial console: a UNIX socket that serves one client. A guest's reboot closes it and makes another;
// what is printed meanwhile the VMM keeps, as it keeps what a client has no room for. Up to release 52 it keeps nothing: it waits for
// room, and its guest with it, so that nothing is lost for who stays, and what is printed without a client is gone.
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connectDirectly } from '../system/connect-directly.js';

/** How soon a console is connected to again; each time in vain it takes twice as long. */
const RECONNECT_MS = 50;
/** To a VMM that keeps nothing meanwhile. */
const RECONNECT_AT_ONCE_MS = 10;
const MAXIMUM_RECONNECT_MS = 1_000;

/** What a VMM has said is here long before; another process may hold its socket open for ever. */
const REST_MS = 500;

/**
 * A socket has room for some 277 bytes that are written one by one (768 bytes each of Linux's net.core.wmem_default), and
 * who reads after it was full reads as many at once. Less than half, for hosts that have less.
 */
const FULL_BYTES = 128;
/** After the last bytes of a full socket: a guest that has no CPU for a moment is not quiet. */
const QUIET_MS = 250;
/** As long as nothing but the rest came, which is a full socket at a time. */
const QUIET_REST_MS = 10;
const REST_BYTES = 512;

export class ConsoleSocket {
  readonly #path: string;
  readonly #onBytes: (bytes: Buffer) => void;
  readonly #keepsOutput: boolean;
  readonly #ended = new AbortController();
  #current: Socket | undefined;
  #closed: Promise<void> = Promise.resolve();

  /**
   * @param onBytes is told in the order in which the guest printed
   * @param keepsOutput whether the VMM keeps what a client has no room for
   */
  constructor(path: string, onBytes: (bytes: Buffer) => void, keepsOutput = true) {
    this.#path = path;
    this.#onBytes = onBytes;
    this.#keepsOutput = keepsOutput;
  }

  /** Where the guest's input goes; undefined where there is no connection. */
  async input(): Promise<Socket | undefined> {
    // A moment later there may be the next.
    if (this.#current?.writable === false) await withinMoment(this.#closed);
    return this.#current;
  }

  /** @param mayComeLater a guest that runs may be in the middle of a reboot; else throws where there is no socket */
  async connect({ mayComeLater }: { mayComeLater: boolean }): Promise<void> {
    try {
      this.#follow(await connectTo(this.#path));
    } catch (error) {
      if (!mayComeLater) throw error;
      this.#closed = this.#connectAgain();
    }
  }

  /** Reads what is still to be read. */
  async disconnect(): Promise<void> {
    this.#ended.abort();
    if (!(await withinMoment(this.#closed))) this.#current?.destroy();
  }

  /**
   * What a full socket had no room for comes with the guest's next byte, which may be long, or with the next client. Not two
   * at once: what is printed just as one takes the other's place the VMM loses. It keeps what is printed after an end.
   */
  #follow(socket: Socket, { isRest = false } = {}): void {
    this.#current = socket;
    let quiet: NodeJS.Timeout | undefined;
    let isFull = false;
    let receivedBytes = 0;
    let gaveWay = false;
    const giveWay = () => {
      gaveWay = true;
      socket.end();
    };
    socket.on('data', bytes => {
      this.#onBytes(bytes);
      receivedBytes += bytes.length;
      isFull ||= (isRest ? receivedBytes : bytes.length) >= FULL_BYTES;
      clearTimeout(quiet);
      const quietMs = isRest && receivedBytes <= REST_BYTES ? QUIET_REST_MS : QUIET_MS;
      if (this.#keepsOutput && isFull && !gaveWay) quiet = setTimeout(giveWay, quietMs);
    });
    // Not events.once: it rejects where a VMM that is killed resets the connection.
    this.#closed = new Promise<void>(resolve => socket.once('close', () => resolve())).then(() => {
      clearTimeout(quiet);
      return this.#connectAgain({ isRest: gaveWay });
    });
  }

  async #connectAgain({ isRest = false } = {}): Promise<void> {
    const { signal } = this.#ended;
    // First a pause, unless we gave way: a VMM that takes connections only to close them would keep us busy.
    const firstPause = this.#keepsOutput ? RECONNECT_MS : RECONNECT_AT_ONCE_MS;
    for (let pause = isRest ? 0 : firstPause; !signal.aborted; ) {
      await delay(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(2 * pause || RECONNECT_MS, MAXIMUM_RECONNECT_MS);
      const again = signal.aborted ? undefined : await connectTo(this.#path).catch(() => undefined);
      if (again === undefined) continue;
      // Meanwhile nobody may listen any more: what is followed then would be so for ever.
      return signal.aborted ? void again.destroy() : this.#follow(again, { isRest });
    }
  }
}

/** @returns whether it came to its end */
function withinMoment(closed: Promise<void>): Promise<boolean> {
  return Promise.race([closed.then(() => true), delay(REST_MS, false, { ref: false })]);
}

export async function connectTo(path: string): Promise<Socket> {
  const socket = await connectDirectly(path);
  // What goes wrong later shows as the end of the VMM.
  socket.on('error', () => {});
  return socket;
}
