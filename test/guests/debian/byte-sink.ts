// A UNIX socket that keeps all that one peer writes to it, and tells when enough has come.

import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export class ByteSink {
  readonly #arrivals = new EventEmitter();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #received = Buffer.alloc(0);

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', socket => {
      this.#sockets.add(socket);
      socket.on('error', () => {}); // the peer is killed when the test is over
      socket.on('data', chunk => {
        this.#received = Buffer.concat([this.#received, chunk]);
        this.#arrivals.emit('bytes');
      });
    });
  }

  static async listen(path: string): Promise<ByteSink> {
    const server = createServer();
    const sink = new ByteSink(server);
    server.listen(path);
    await once(server, 'listening');
    return sink;
  }

  get received(): Buffer {
    return this.#received;
  }

  /** Resolves with all bytes once `isEnough` holds for them; rejects when `signal` aborts. */
  async until(isEnough: (bytes: Buffer) => boolean, signal: AbortSignal): Promise<Buffer> {
    while (!isEnough(this.#received)) await once(this.#arrivals, 'bytes', { signal });
    return this.#received;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
