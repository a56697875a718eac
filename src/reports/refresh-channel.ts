// The channel on which the guest part waits to be told of new credentials, and acknowledges them (docs/on-demand.md). No value
// passes here. The guest is not trusted: what it sends is bounded, and its receipt is believed for its digests alone.
import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelPlan } from '../hypervisor/hypervisor.js';
import { connectDirectly } from '../system/connect-directly.js';
import { printable } from '../system/printable.js';
import { listenAsOwner, type SocketAccess } from './guest-channel.js';
import { parseReceipt, RECEIPT_LIMITS, type Receipt, ReceiptInvalidError } from './receipt.js';
import { RequestRate } from './request-rate.js';

export interface RefreshChannelOptions extends SocketAccess {
  /** The guest part is there. @param boot names this run of the guest's kernel */
  onGuest(boot: string): void;
}

/** Why a guest did not do as it was told; for people. */
export class RefreshRefusedError extends Error {
  override readonly name = 'RefreshRefusedError';
}

interface Asked {
  id: string;
  resolve(receipt: Receipt): void;
  reject(error: RefreshRefusedError): void;
}

const HELLO = /^VMSECRETD_REFRESH=1 ([0-9a-f-]{8,64})$/;
const REFRESHED = /^VMSECRETD_REFRESHED=1 ([0-9a-f]{32})$/;
const FAILED = /^VMSECRETD_FAILED=1 ([0-9a-f]{32}) ([\x20-\x7e]{1,200})$/;
const END = /^VMSECRETD_RECEIPT_END=/;

const MAXIMUM_CONNECTIONS = 4;
/** QEMU makes its sockets a few milliseconds after its start. */
const RECONNECT_MS = 20;
const PENALTY_MS = 1_000;
/** A guest part says that it is there once a boot, and whenever this process or itself is started again. */
const HELLOS = { burst: 32, intervalMs: 10_000 };

export class RefreshChannel {
  readonly #options: RefreshChannelOptions;
  readonly #closed = new AbortController();
  readonly #hellos = new RequestRate(HELLOS);
  readonly #sockets = new Set<Socket>();
  /** Of the guest part that came last. */
  #guest: Socket | undefined;
  #boot: string | undefined;
  #asked: Asked | undefined;

  private constructor(options: RefreshChannelOptions) {
    this.#options = options;
  }

  static async open(plan: ChannelPlan, options: RefreshChannelOptions): Promise<RefreshChannel> {
    const channel = new RefreshChannel(options);
    if (plan.kind === 'vsock') await channel.#listen(plan.path);
    else void channel.#follow(plan.path);
    return channel;
  }

  get hasGuest(): boolean {
    return this.#guest !== undefined;
  }

  /**
   * Tells the guest which credentials are new, and waits until it has them.
   * @param id 32 hexadecimal digits @throws RefreshRefusedError; what `signal` aborts with
   */
  async ask(id: string, names: readonly string[], signal: AbortSignal): Promise<Receipt> {
    const guest = this.#guest;
    if (guest === undefined) throw new RefreshRefusedError('its guest part vmsecretd-refresh is not there');
    signal.throwIfAborted();
    return new Promise<Receipt>((resolve, reject) => {
      const abort = () => {
        this.#asked = undefined;
        reject(signal.reason);
        // What comes later belongs to nothing.
        guest.destroy();
      };
      signal.addEventListener('abort', abort, { once: true });
      const settled = () => signal.removeEventListener('abort', abort);
      this.#asked = {
        id,
        resolve: receipt => {
          settled();
          resolve(receipt);
        },
        reject: error => {
          settled();
          reject(error);
        },
      };
      guest.write([`VMSECRETD_CHANGED=1 ${id}`, ...names, `VMSECRETD_END=${id}`, ''].join('\n'));
    });
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #listen(path: string): Promise<void> {
    const server = createServer(socket => this.#read(socket));
    server.maxConnections = MAXIMUM_CONNECTIONS;
    this.#closed.signal.addEventListener('abort', () => server.close());
    await listenAsOwner(server, path, this.#options);
  }

  async #follow(path: string): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const socket = await connectDirectly(path).catch(() => undefined);
      if (signal.aborted) socket?.destroy();
      else if (socket !== undefined) {
        const ended = new Promise(resolve => socket.once('close', resolve));
        this.#read(socket);
        await ended;
      }
      const pauseMs = socket === undefined ? RECONNECT_MS : PENALTY_MS;
      await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  #read(socket: Socket): void {
    this.#sockets.add(socket);
    let bytes = Buffer.alloc(0);
    let receipt: string[] | undefined;
    let idle = 0;
    const take = (line: string) => {
      idle += line.length + 1;
      const [, boot] = HELLO.exec(line) ?? [];
      if (boot !== undefined) {
        if (!this.#hellos.mayTake()) return socket.destroy();
        // A port's guest greets again and again: it may have missed that this process is another one.
        if (socket === this.#guest && boot === this.#boot) return undefined;
        idle = 0;
        receipt = undefined;
        return this.#welcome(socket, boot);
      }
      if (socket !== this.#guest || this.#asked === undefined) return undefined;
      const { id } = this.#asked;
      if (REFRESHED.exec(line)?.[1] === id) receipt = [];
      else if (receipt !== undefined) {
        receipt.push(line);
        if (END.test(line)) this.#settle(receipt.join('\n'));
      } else {
        const [, failed, why = ''] = FAILED.exec(line) ?? [];
        if (failed === id) this.#refuse(`its guest says: ${printable(why)}`);
      }
      if (this.#asked === undefined) {
        receipt = undefined;
        idle = 0;
      }
      return undefined;
    };
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#guest !== socket) return;
      this.#guest = undefined;
      this.#refuse('its guest part ended the connection before it had acknowledged');
    });
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let end = bytes.indexOf('\n'); end >= 0 && !socket.destroyed; end = bytes.indexOf('\n')) {
        const line = bytes.subarray(0, end).toString('latin1');
        bytes = bytes.subarray(end + 1);
        take(line);
      }
      if (bytes.length + idle > RECEIPT_LIMITS.maxBytes) socket.destroy();
    });
  }

  #welcome(socket: Socket, boot: string): void {
    const before = this.#guest;
    this.#guest = socket;
    this.#boot = boot;
    this.#refuse('its guest part was started again before it had acknowledged');
    if (before !== socket) before?.destroy();
    this.#options.onGuest(boot);
  }

  #settle(text: string): void {
    const asked = this.#asked;
    this.#asked = undefined;
    try {
      asked?.resolve(parseReceipt(Buffer.from(text, 'latin1')));
    } catch (error) {
      if (!(error instanceof ReceiptInvalidError)) throw error;
      asked?.reject(new RefreshRefusedError(error.message));
    }
  }

  #refuse(why: string): void {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.reject(new RefreshRefusedError(why));
  }
}
