// The daemon's three sockets: who may connect to each, and which of them a request came by.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { listenOn } from '../system/sockets.js';
import { requestUnix } from '../system/unix-http.js';
import type { SocketRole } from './access.js';

interface SocketPlan {
  /** FileDescriptorName= of the socket unit. */
  name: string;
  role: SocketRole;
  file: string;
  mode: number;
}

const SOCKETS: readonly SocketPlan[] = [
  { name: 'vmsecretd', role: 'operator', file: 'vmsecretd.sock', mode: 0o660 },
  { name: 'admin', role: 'admin', file: 'admin.sock', mode: 0o600 },
  { name: 'launch', role: 'launch', file: 'launch.sock', mode: 0o666 },
];

/** How long a daemon that works takes to answer itself, with plenty to spare. */
const PROBE_TIMEOUT_MS = 5_000;

/** How long a client may take to say what it wants; the answer may take as long as it likes. */
const REQUEST_TIMEOUT_MS = 30_000;

export interface DaemonSocketsOptions {
  runtimeDirectory: string;
  /** Who may use vmsecretd.sock; the daemon's own group unless given. */
  operatorGid: number | undefined;
  /** Sockets that systemd listens on already, by name. */
  activatedSockets: ReadonlyMap<string, number>;
  requestTimeoutMs?: number;
}

export class DaemonSockets {
  readonly #options: DaemonSocketsOptions;
  readonly #roles = new WeakMap<object, SocketRole>();
  readonly #servers: Server[] = [];
  readonly #removals: (() => Promise<void>)[] = [];

  constructor(options: DaemonSocketsOptions) {
    this.#options = options;
  }

  /** The least that any socket allows, where it is not known. */
  roleOf(request: IncomingMessage): SocketRole {
    return this.#roles.get(request.socket) ?? 'launch';
  }

  /** @throws VmsecretdError resource_conflict */
  async listen(app: FastifyInstance): Promise<void> {
    const { runtimeDirectory, operatorGid, activatedSockets } = this.#options;
    const requestTimeout = this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    // Node looks for late ones at this interval.
    const limits = {
      requestTimeout,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: requestTimeout / 2,
    };
    for (const { name, role, file, mode } of SOCKETS) {
      // fastify's own listen() throws on an activated socket; its routing takes any server's requests.
      const server = createServer(limits, (request, response) => app.routing(request, response));
      server.on('connection', socket => this.#roles.set(socket, role));
      this.#servers.push(server);
      this.#removals.push(
        await listenOn(server, {
          path: join(runtimeDirectory, file),
          mode,
          gid: role === 'operator' ? operatorGid : undefined,
          activatedFd: activatedSockets.get(name),
        }),
      );
    }
  }

  /** Settles when every socket has answered; any answer will do: launch.sock refuses, and so shows that it is served. */
  async probe(): Promise<void> {
    const { runtimeDirectory } = this.#options;
    await Promise.all(
      SOCKETS.map(({ file }) =>
        requestUnix({
          socketPath: join(runtimeDirectory, file),
          method: 'GET',
          path: '/v1/health',
          timeoutMs: PROBE_TIMEOUT_MS,
        }),
      ),
    );
  }

  /** Ends all connections and removes the sockets that are ours. */
  async close(): Promise<void> {
    await Promise.all(this.#removals.map(remove => remove()));
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}
