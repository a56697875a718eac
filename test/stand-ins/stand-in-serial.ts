// The serial port of the stand-in's VM: a socket that listens while the VM exists, standard output, or nowhere.
// As the real one's, the socket has one client, the latest, and what nobody has read yet is kept for it.

import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

const FLOOD = ['x', 'x'.repeat(64 * 1024), 'x'];

export interface SerialConfig {
  readonly mode?: string;
  readonly socket?: string | null;
}

export class StandInSerial {
  readonly #config: SerialConfig;
  readonly #echoes: boolean;
  #server: Server | undefined;
  #client: Socket | undefined;
  #unread = '';

  /** @param echoes whether the guest prints what is typed, as a getty does */
  constructor(config: SerialConfig, { echoes }: { echoes: boolean }) {
    this.#config = config;
    this.#echoes = echoes;
  }

  async open(): Promise<void> {
    const { mode, socket } = this.#config;
    if (mode !== 'Socket' || !socket) return;
    rmSync(socket, { force: true });
    const server = createServer(client => this.#accept(client));
    this.#server = server;
    await new Promise<void>(resolve => server.listen(socket, resolve));
  }

  print(text: string): void {
    if (this.#config.mode === 'Tty') process.stdout.write(text);
    else if (this.#client) this.#client.write(text);
    else if (this.#server) this.#unread += text;
  }

  /** As fast as it is read, in pieces of one byte and of many. */
  flood(): void {
    const client = this.#client;
    for (const piece of FLOOD) client?.write(piece);
    if (client?.writableNeedDrain === true) client.once('drain', () => this.flood());
    else if (this.#server) setTimeout(() => this.flood(), 10);
  }

  /** The client reads what is left and then the end. */
  close(): void {
    this.#client?.end();
    this.#client = undefined;
    this.#unread = '';
    this.#server?.close();
    if (this.#server && this.#config.socket) rmSync(this.#config.socket, { force: true });
    this.#server = undefined;
  }

  #accept(client: Socket): void {
    client.on('error', () => {}).resume();
    if (this.#echoes) client.on('data', bytes => client.write(bytes));
    client.once('close', () => {
      if (this.#client === client) this.#client = undefined;
    });
    this.#client?.end();
    this.#client = client;
    client.write(this.#unread);
    this.#unread = '';
  }
}
