// What is taken of a request's body: JSON as it stands, bytes for a console, and nothing where nothing is expected.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { VmsecretdError } from '../errors.js';
import { findJsonFault } from '../json-keys.js';

export const BYTES = 'application/octet-stream';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** It takes bytes, which have no schema. */
    takesBytes?: boolean;
  }
}

export function checkBodies(app: FastifyInstance): void {
  app.addHook('onRequest', async request => {
    if (request.is404 || takesBody(request) || !hasBody(request)) return;
    throw new VmsecretdError(
      'request_invalid',
      `${request.method} ${request.routeOptions.url} takes no body`,
    );
  });
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    // A client that names the type of the body it does not send.
    if (text === '' && !takesBody(request)) return done(null, undefined);
    // No key twice, nothing converted.
    return parseJson(request, text, (error, value) => {
      const fault = error ? undefined : findJsonFault(text);
      if (fault === undefined) done(error, value);
      else done(new VmsecretdError('request_invalid', `The body is refused: ${fault}`));
    });
  });
  app.addContentTypeParser(BYTES, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

function takesBody({ routeOptions: { config, schema } }: FastifyRequest): boolean {
  return config.takesBytes === true || schema?.body !== undefined;
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
