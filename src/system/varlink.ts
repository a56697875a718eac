// A varlink service of one interface on a UNIX socket (varlink.org): each message is a JSON object that ends with a NUL. systemd's
// programs are its clients.

import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { fieldOf } from '../json-field.js';
import { listenOn } from './sockets.js';

export interface VarlinkService {
  /** Such as io.systemd.MachineInstance. */
  interface: string;
  /** In varlink's own language. */
  description: string;
  vendor: string;
  product: string;
  version: string;
  /** By their names without the interface. */
  methods: Readonly<Record<string, VarlinkMethod>>;
}

export type VarlinkParameters = Readonly<Record<string, unknown>>;

/**
 * @param more sends an answer that others follow, where the client asked for that; `closed` ends when it leaves
 * @returns the last answer; undefined where it goes on until the client leaves
 * @throws VarlinkError
 */
export type VarlinkMethod = (
  parameters: VarlinkParameters,
  more: { send(parameters: VarlinkParameters): void; closed: AbortSignal } | undefined,
) => Promise<VarlinkParameters | undefined>;

export class VarlinkError extends Error {
  readonly parameters: VarlinkParameters;

  /** @param id such as org.varlink.service.MethodNotFound */
  constructor(id: string, parameters: VarlinkParameters = {}) {
    super(id);
    this.parameters = parameters;
  }
}

/** A call is a name and few parameters. */
const CALL_LIMIT_BYTES = 64 * 1024;
const MAXIMUM_CONNECTIONS = 16;

const SERVICE = 'org.varlink.service';
const NUL = '\0';

/** Root alone may connect. @returns what ends it @throws VmsecretdError resource_conflict */
export async function serveVarlink(path: string, service: VarlinkService): Promise<() => Promise<void>> {
  const connections = new Set<Socket>();
  const server = createServer(socket => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    converse(socket, service);
  });
  server.maxConnections = MAXIMUM_CONNECTIONS;
  const remove = await listenOn(server, { path, mode: 0o600 });
  return async () => {
    await remove();
    server.close();
    for (const socket of connections) socket.destroy();
  };
}

/** One call after the other, as varlink wants its answers. */
function converse(socket: Socket, service: VarlinkService): void {
  const closed = new AbortController();
  let text = '';
  let answered: Promise<void> = Promise.resolve();
  socket.setEncoding('utf8').on('error', () => {});
  socket.once('close', () => closed.abort());
  socket.on('data', (chunk: string) => {
    text += chunk;
    const messages = text.split(NUL);
    text = messages.pop() ?? '';
    if (text.length > CALL_LIMIT_BYTES) socket.destroy();
    for (const message of messages)
      answered = answered
        .then(() => answer(message, socket, service, closed.signal))
        // What is no varlink gets no answer.
        .catch(() => void socket.destroy());
  });
}

async function answer(
  message: string,
  socket: Socket,
  service: VarlinkService,
  closed: AbortSignal,
): Promise<void> {
  const request: unknown = JSON.parse(message);
  const method = fieldOf(request, 'method');
  if (typeof method !== 'string') throw new TypeError('a varlink call names its method');
  const parameters: VarlinkParameters = Object(fieldOf(request, 'parameters'));
  const more = fieldOf(request, 'more');
  const oneway = fieldOf(request, 'oneway');
  const write = (reply: object) => void (oneway === true || socket.write(JSON.stringify(reply) + NUL));
  const send = (told: VarlinkParameters) => write({ parameters: told, continues: true });
  try {
    const last = await call(service, method, parameters, more === true ? { send, closed } : undefined);
    if (last !== undefined) write({ parameters: last });
  } catch (error) {
    if (!(error instanceof VarlinkError)) throw error;
    write({ error: error.message, parameters: error.parameters });
  }
}

async function call(
  service: VarlinkService,
  name: string,
  parameters: VarlinkParameters,
  more: Parameters<VarlinkMethod>[1],
): Promise<VarlinkParameters | undefined> {
  const dot = name.lastIndexOf('.');
  const [wanted, method] = [name.slice(0, dot), name.slice(dot + 1)];
  if (wanted === SERVICE) return describeService(service, method, parameters);
  if (wanted !== service.interface)
    throw new VarlinkError(`${SERVICE}.InterfaceNotFound`, { interface: wanted });
  const found = Object.hasOwn(service.methods, method) ? service.methods[method] : undefined;
  if (found === undefined) throw new VarlinkError(`${SERVICE}.MethodNotFound`, { method: name });
  return found(parameters, more);
}

function describeService(
  service: VarlinkService,
  method: string,
  parameters: VarlinkParameters,
): VarlinkParameters {
  const { vendor, product, version } = service;
  if (method === 'GetInfo')
    return { vendor, product, version, url: '', interfaces: [SERVICE, service.interface] };
  if (method !== 'GetInterfaceDescription')
    throw new VarlinkError(`${SERVICE}.MethodNotFound`, { method: `${SERVICE}.${method}` });
  if (parameters.interface !== service.interface)
    throw new VarlinkError(`${SERVICE}.InterfaceNotFound`, { interface: String(parameters.interface) });
  return { description: service.description };
}
