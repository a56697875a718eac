// Serves metrics, and nothing else, where config.json's metrics.listen says: a socket path or a loopback address.
import { createServer, type Server } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { listenOn } from '../system/sockets.js';
import type { MetricsRouteTools } from './routes/metrics.js';

export type MetricsAddress = { path: string } | { host: string; port: number };

/** Everybody on the host may connect to an address, and each connection takes a descriptor of the daemon's. */
const MAXIMUM_CONNECTIONS = 64;
/** One that asks nothing, or does not read its answer, makes room again so soon. */
const SILENCE_MS = 5_000;
const LIMITS = { headersTimeout: 2_000, requestTimeout: 2_000, connectionsCheckingInterval: 1_000 };

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** @throws VmsecretdError definition_invalid: metrics tell names, which are for this host alone */
export function parseMetricsAddress(listen: string): MetricsAddress {
  if (isAbsolute(listen)) return { path: listen };
  const [, bracketed, plain, digits] = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(listen) ?? [];
  const host = plain === 'localhost' ? '127.0.0.1' : (bracketed ?? plain ?? '');
  const port = Number(digits);
  const isLoopback = isIP(host) !== 0 && LOOPBACK.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
  if (isLoopback && port >= 1 && port <= 65_535) return { host, port };
  throw new VmsecretdError(
    'definition_invalid',
    `config.json: metrics.listen "${listen.slice(0, 200)}" must be a loopback address with a port, such as 127.0.0.1:9101 or [::1]:9101, or an absolute socket path`,
    { details: { field: 'metrics.listen' } },
  );
}

/**
 * @param gid group that may read a socket
 * @returns what ends it @throws VmsecretdError resource_conflict
 */
export async function listenForMetrics(
  address: MetricsAddress,
  { metrics }: MetricsRouteTools,
  gid: number | undefined,
): Promise<() => Promise<void>> {
  const server = createServer(LIMITS, async (request, response) => {
    // Who was answered has no reason to stay; the limit alone keeps the connection.
    response.shouldKeepAlive = false;
    const isKnown = request.method === 'GET' && request.url?.split('?')[0] === '/metrics';
    if (!isKnown) return response.writeHead(404).end();
    response.setHeader('content-type', metrics.contentType);
    return response.end(await metrics.render());
  });
  server.maxConnections = MAXIMUM_CONNECTIONS;
  server.maxRequestsPerSocket = 1;
  server.timeout = SILENCE_MS;
  const removeSocket =
    'path' in address ? await listenOn(server, { ...address, mode: 0o660, gid }) : undefined;
  if (!('path' in address)) await listenOnAddress(server, address);
  return async () => {
    await removeSocket?.();
    server.close();
    server.closeAllConnections();
  };
}

function listenOnAddress(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', error => {
      const why = systemErrorCode(error) ?? 'unknown error';
      const remedy =
        why === 'EAFNOSUPPORT'
          ? 'RestrictAddressFamilies= of the unit keeps vmsecretd from it: name the path of a socket, or add AF_INET AF_INET6 in a drop-in'
          : 'choose another port';
      const message = `config.json: metrics.listen ${host}:${port} cannot be listened on (${why}); ${remedy}`;
      reject(new VmsecretdError('resource_conflict', message, { details: { host, port } }));
    });
    server.listen({ host, port }, () => resolve());
  });
}
