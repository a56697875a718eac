// A client of QEMU's control socket (QMP: one JSON object a line). Takes the socket's path, gives answers and events; an
// answer that is too long or no JSON ends the connection, since a guest may have taken QEMU over.

import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { connectDirectly } from '../../system/connect-directly.js';

export interface QmpEvent {
  readonly event: string;
  readonly data: unknown;
}

export interface QmpOptions {
  /** For connecting, which waits for the socket to appear, and for each command's answer. */
  readonly timeoutMs: number;
  /** Ends the wait and the connection. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: QmpEvent) => void;
}

/** The longest answer taken. Those of the commands we use have a few hundred bytes. */
const MAX_LINE_BYTES = 1024 * 1024;
const CONNECT_POLL_MS = 5;

interface Waiting {
  readonly command: string;
  resolve(answer: unknown): void;
  reject(error: VmsecretdError): void;
}

/** Resolves once QEMU takes commands. Rejects with `vmm_timeout`, with `vmm_refused`, or with the signal's reason. */
export async function connectQmp(socketPath: string, options: QmpOptions): Promise<QmpClient> {
  const deadlineAt = performance.now() + options.timeoutMs;
  for (;;) {
    options.signal?.throwIfAborted();
    // QEMU makes the socket a few milliseconds after its start; an old file may lie there until then.
    const socket = await connectDirectly(socketPath).catch(error => {
      if (!['ENOENT', 'ECONNREFUSED'].includes(systemErrorCode(error) ?? ''))
        throw unreachable(socketPath, error);
    });
    if (socket) return negotiate(new QmpClient(socket, options), options.signal);
    if (performance.now() > deadlineAt) {
      const text = `QEMU did not listen on ${socketPath} within ${options.timeoutMs} ms.`;
      throw new VmsecretdError('vmm_timeout', text);
    }
    await delay(CONNECT_POLL_MS);
  }
}

/** QMP answers nothing else until `qmp_capabilities` was asked. */
async function negotiate(client: QmpClient, signal?: AbortSignal): Promise<QmpClient> {
  try {
    await client.execute('qmp_capabilities');
    return client;
  } catch (error) {
    client.close();
    signal?.throwIfAborted();
    throw error;
  }
}

function unreachable(path: string, error: unknown): VmsecretdError {
  return new VmsecretdError(
    'vmm_refused',
    `QEMU's QMP socket ${path} cannot be reached: ${systemErrorCode(error)}.`,
    {
      cause: error,
    },
  );
}

export class QmpClient {
  /** Settles when the connection has ended, QEMU's exit included; never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #options: QmpOptions;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #unread = '';

  constructor(socket: Socket, options: QmpOptions) {
    this.#socket = socket;
    this.#options = options;
    const abort = () => this.close();
    options.signal?.addEventListener('abort', abort, { once: true });
    this.closed = new Promise(resolve => {
      socket.once('close', () => {
        options.signal?.removeEventListener('abort', abort);
        this.#failAll('QEMU closed its QMP socket');
        resolve();
      });
    });
    // What goes wrong on the socket ends in `close`.
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (text: string) => this.#read(text));
  }

  /**
   * Gives what QEMU returned. Rejects with `vmm_refused` when it answers with an error or the connection ends first, with
   * `vmm_timeout` when no answer comes. QEMU has secrets, so its words are for root alone.
   */
  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.#options.signal?.throwIfAborted();
    if (this.#socket.destroyed) throw refused(`QEMU closed its QMP socket before ${command}.`);
    const id = ++this.#lastId;
    const { timeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const late = `QEMU did not answer ${command} within ${timeoutMs} ms.`;
        timer = setTimeout(() => reject(new VmsecretdError('vmm_timeout', late)), timeoutMs);
        this.#waiting.set(id, { command, resolve, reject });
        this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Ends the connection, not QEMU; commands in progress are rejected. */
  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    // What was read before is not searched again: a line that comes byte by byte costs no more than another.
    const lines = text.split('\n');
    lines[0] = this.#unread + lines[0];
    this.#unread = lines.pop() ?? '';
    const tooLong = [...lines, this.#unread].some(line => line.length > MAX_LINE_BYTES);
    if (tooLong || !lines.every(line => this.#take(line))) {
      this.#failAll(
        `QEMU's QMP socket sent ${tooLong ? 'a line of over 1 MiB' : 'a line that is no JSON object'}`,
      );
      this.close();
    }
  }

  /** Answers to commands and events; the greeting is passed over. False for what is no JSON object. */
  #take(line: string): boolean {
    const message = parseObject(line);
    if (message === undefined) return false;
    if (typeof message.event === 'string') {
      this.#options.onEvent?.({ event: message.event, data: message.data });
    }
    const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined;
    if (waiting && 'error' in message)
      waiting.reject(
        new VmsecretdError('vmm_refused', `QEMU refused ${waiting.command}`, {
          details: { answered: true },
          words: describe(message.error),
        }),
      );
    else waiting?.resolve(message.return);
    return true;
  }

  #failAll(reason: string): void {
    for (const { command, reject } of this.#waiting.values()) {
      reject(refused(`${reason} before it answered ${command}.`));
    }
    this.#waiting.clear();
  }
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** QEMU's error text, short and printable. */
function describe(error: unknown): string {
  const desc = typeof error === 'object' && error !== null && 'desc' in error ? error.desc : undefined;
  if (typeof desc !== 'string') return 'no reason given';
  return desc.slice(0, 200).replace(/[^\x20-\x7e]/g, ' ');
}

function refused(message: string): VmsecretdError {
  return new VmsecretdError('vmm_refused', message);
}
