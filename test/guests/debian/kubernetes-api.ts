// A stand-in for a Kubernetes API server, as much as `kubectl apply --server-side` asks of one. It keeps what was applied.

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export interface AppliedObject {
  /** As the API server names it: `/api/v1/namespaces/NAMESPACE/secrets/NAME`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly contentType: string | undefined;
  readonly object: Record<string, unknown>;
}

export interface KubernetesApi {
  readonly port: number;
  /** In the order in which they were applied. */
  readonly applied: readonly AppliedObject[];
  /** Requests that it had no answer for; a test expects none. */
  readonly unknown: readonly string[];
  readonly close: () => void;
}

const DISCOVERY: Record<string, unknown> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': {
    kind: 'APIGroupList',
    groups: [{ name: 'apps', versions: [{ groupVersion: 'apps/v1', version: 'v1' }] }],
  },
  '/api/v1': resourceList('v1', [
    { name: 'namespaces', singularName: '', namespaced: false, kind: 'Namespace', verbs: ['get', 'patch'] },
    { name: 'secrets', singularName: '', namespaced: true, kind: 'Secret', verbs: ['get', 'patch'] },
  ]),
  '/apis/apps/v1': resourceList('apps/v1', [
    { name: 'deployments', singularName: '', namespaced: true, kind: 'Deployment', verbs: ['get', 'patch'] },
  ]),
};

function resourceList(groupVersion: string, resources: readonly object[]): object {
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

/** Refuses its first `notReadyRequests` requests, as an API server does that is still starting. */
export async function startKubernetesApi(notReadyRequests: number): Promise<KubernetesApi> {
  const applied: AppliedObject[] = [];
  const unknown: string[] = [];
  let left = notReadyRequests;
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object | string) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    const { pathname } = new URL(request.url ?? '/', 'http://api');
    if (left-- > 0) return answer(503, status(503, 'ServiceUnavailable'));
    if (pathname in DISCOVERY) return answer(200, DISCOVERY[pathname] as object);
    if (pathname === '/openapi/v2') return answer(200, ''); // a schema of nothing: kubectl then validates nothing
    if (request.method !== 'PATCH') {
      unknown.push(`${request.method} ${pathname}`);
      return answer(404, status(404, 'NotFound'));
    }
    const object = await readApplied(request, applied);
    return answer(200, object);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port, applied, unknown, close };
}

async function readApplied(request: IncomingMessage, applied: AppliedObject[]): Promise<object> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://api');
  const object = (await json(request)) as Record<string, unknown>;
  applied.push({ path: pathname, query: searchParams, contentType: request.headers['content-type'], object });
  return object;
}

function status(code: number, reason: string): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code, message: reason };
}
