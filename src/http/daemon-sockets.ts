// The daemon's two sockets: who may connect to each, and which of them a request came by.
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../errors.js';
import { listenOn } from '../system/sockets.js';
import { resolveGroup } from '../system/users.js';
import type { SocketRole } from './access.js';
import { buildProblem, PROBLEM_TYPE } from './problem.js';

interface SocketPlan {
  /** FileDescriptorName= of the socket unit. */
  name: string;
  role: SocketRole;
  file: string;
  mode: number;
}

/** So many may wait for an answer or read one, as many as VMs that start at once; each takes a descriptor of the daemon's. */
const MAXIMUM_CONNECTIONS = 1_024;

/** How long a request may take to arrive. */
const REQUEST_TIMEOUT_MS = 30_000;

const SOCKETS: readonly SocketPlan[] = [
  { name: 'vmsecretd', role: 'operator', file: 'vmsecretd.sock', mode: 0o660 },
  { name: 'admin', role: 'admin', file: 'admin.sock', mode: 0o600 },
];

/** How often Node looks for requests that take too long. */
const LATE_REQUESTS_POLL_MS = 1_000;

/** How long a daemon that works takes to answer itself, with plenty to spare. */
const PROBE_TIMEOUT_MS = 5_000;

export interface DaemonSocketsOptions {
  runtimeDirectory: string;
  /** Who may use vmsecretd.sock; the daemon's own group unless given. */
  operatorGid: number | undefined;
  /** Sockets that systemd listens on already, by name. */
  activatedSockets: ReadonlyMap<string, number>;
}

/** @param configPath the file that names it @throws VmsecretdError definition_invalid */
export async function resolveOperatorGroup(
  group: string | undefined,
  configPath: string,
): Promise<number | undefined> {
  if (group === undefined) return undefined;
  const gid = await resolveGroup(group);
  if (gid !== undefined) return gid;
  throw new VmsecretdError(
    'definition_invalid',
    `operatorGroup in ${configPath}: there is no group ${group}; groupadd --system ${group}, or correct it`,
    { details: { group } },
  );
}

export class DaemonSockets {
  readonly #options: DaemonSocketsOptions;
  readonly #roles = new WeakMap<object, SocketRole>();
  readonly #servers: Server[] = [];
  #app: FastifyInstance | undefined;
  readonly #removals: (() => Promise<void>)[] = [];

  constructor(options: DaemonSocketsOptions) {
    this.#options = options;
  }

  /** The least that any socket allows, where it is not known. */
  roleOf(request: IncomingMessage): SocketRole {
    return this.#roles.get(request.socket) ?? 'operator';
  }

  /** @throws VmsecretdError resource_conflict */
  async listen(app: FastifyInstance): Promise<void> {
    const { runtimeDirectory, operatorGid, activatedSockets } = this.#options;
    this.#app = app;
    for (const plan of SOCKETS) {
      const server = this.#serve(app, plan);
      this.#servers.push(server);
      this.#removals.push(
        await listenOn(server, {
          path: join(runtimeDirectory, plan.file),
          mode: plan.mode,
          gid: plan.role === 'operator' ? operatorGid : undefined,
          activatedFd: activatedSockets.get(plan.name),
        }),
      );
    }
  }

  #serve(app: FastifyInstance, { role }: SocketPlan): Server {
    const limits = {
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: LATE_REQUESTS_POLL_MS,
    };
    // fastify's own listen() throws on an activated socket; its routing takes any server's requests.
    const take = (request: IncomingMessage, response: ServerResponse) => {
      if (role !== 'admin' && comesInChunks(request)) return refuseBody(request, response);
      // Else Node waits some seconds for another request, which maxRequestsPerSocket would refuse. Who is answered before it
      // has sent its body must be able to send the rest.
      if (!hasBody(request)) response.shouldKeepAlive = false;
      app.routing(request, response);
    };
    // Node would refuse what it does not know of itself, and take in its body first.
    const server = createServer(limits, take).on('checkExpectation', take);
    server.on('clientError', refuseUnparsed);
    server.maxConnections = MAXIMUM_CONNECTIONS;
    // Who was answered has no reason to stay.
    server.maxRequestsPerSocket = 1;
    server.on('connection', socket => this.#roles.set(socket, role));
    return server;
  }

  /**
   * Settles when the application has answered, and every socket is listened on. Not by way of the sockets: who takes all their
   * connections would have the daemon ended.
   */
  async probe(): Promise<void> {
    const late = delay(PROBE_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`);
    });
    const answered = this.#app?.inject({ method: 'GET', url: '/v1/health' });
    await Promise.race([answered, late]);
    if (this.#servers.length < SOCKETS.length || this.#servers.some(server => !server.listening))
      throw new Error('a socket is not listened on');
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

/**
 * A body in chunks of a byte costs a call and some hundred bytes for each of its bytes, which Node takes in before anybody can
 * say that it is too long, and reads to its end. Only root's programs, which may not know how long a definition is, need one.
 */
function comesInChunks({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined;
}

/** Without waiting for the rest of it. */
function refuseBody(request: IncomingMessage, response: ServerResponse): void {
  const text = renderRefusal(411, 'a body needs its Content-Length; in chunks only admin.sock takes one');
  response.writeHead(411, { connection: 'close', ...headersOf(text) }).end(text);
  request.socket.destroySoon();
}

/** What is no HTTP, or comes too slowly, as a problem document too. */
function refuseUnparsed(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { bytesWritten } = socket as Socket;
  // Each connection has one answer.
  if (!socket.writable || bytesWritten > 0) return void socket.destroy();
  const status = UNPARSED_STATUS[error.code ?? ''] ?? 400;
  const text = renderRefusal(status, `the request is not valid HTTP (${error.code ?? 'unknown'})`);
  const headers = Object.entries({ connection: 'close', ...headersOf(text) });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${text}`);
  (socket as Socket).destroySoon();
}

const UNPARSED_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

function renderRefusal(status: number, message: string): string {
  return JSON.stringify({ ...buildProblem(new VmsecretdError('request_invalid', message), false), status });
}

const headersOf = (text: string) => ({
  'content-type': PROBLEM_TYPE,
  'content-length': Buffer.byteLength(text),
});

function hasBody(request: IncomingMessage): boolean {
  return comesInChunks(request) || Number(request.headers['content-length'] ?? 0) > 0;
}
