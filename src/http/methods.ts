// What a URL takes: 405 with Allow for other methods, OPTIONS, and 404 for a URL that is none.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { VmsecretdError } from '../errors.js';

interface Resource {
  /** Of the whole path. */
  pattern: RegExp;
  methods: Set<string>;
}

const QUOTED_LENGTH = 200;

/**
 * To be called before routes are added.
 * @param sendNotFound answers with 404
 */
export function answerMethods(
  app: FastifyInstance,
  sendNotFound: (error: VmsecretdError, request: FastifyRequest, reply: FastifyReply) => void,
): void {
  const resources = new Map<string, Resource>();
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}/?$`);
    const resource = resources.get(url) ?? { pattern, methods: new Set() };
    resources.set(url, resource);
    for (const one of [method].flat()) resource.methods.add(one);
  });
  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return undefined;
    const [path = ''] = request.url.split('?');
    const all = [...resources.values()];
    const methods = path === '*' ? all.flatMap(resource => [...resource.methods]) : methodsOf(path, all);
    // One that is known and was not found has a name too long for a VM.
    if (methods.length === 0 || methods.includes(request.method)) {
      sendNotFound(notFound(request), request, reply);
      return reply;
    }
    const allow = [...new Set([...methods, 'OPTIONS'])].join(', ');
    reply.header('allow', allow);
    if (request.method === 'OPTIONS') return reply.code(204).send();
    throw new VmsecretdError(
      'method_not_allowed',
      `${request.method} is not for ${path.slice(0, QUOTED_LENGTH)}; it takes ${allow}`,
    );
  });
}

function methodsOf(path: string, resources: readonly Resource[]): string[] {
  return [...(resources.find(({ pattern }) => pattern.test(path))?.methods ?? [])];
}

function notFound({ method, url }: FastifyRequest): VmsecretdError {
  return new VmsecretdError(
    'request_invalid',
    `There is no ${method} ${url.slice(0, QUOTED_LENGTH)}; GET /openapi.json lists what there is`,
  );
}
