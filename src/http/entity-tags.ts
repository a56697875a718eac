// Entity tags (RFC 9110, 8.8.3 and 13): a poller is answered with 304 where nothing changed, and a definition is not replaced that its
// author has not seen.
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../errors.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its answer has a tag: a strong one where If-Match of another request is compared with it. */
    entityTag?: 'strong' | 'weak';
  }
}

/** 160 bits of it. */
const TAG_LENGTH = 27;

/** A strong tag of a text. */
export function tagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, TAG_LENGTH)}"`;
}

export function tagAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const kind = request.routeOptions.config.entityTag;
    if (kind === undefined || reply.statusCode !== 200 || typeof payload !== 'string') return payload;
    const tag = kind === 'weak' ? `W/${tagOf(payload)}` : tagOf(payload);
    reply.header('etag', tag);
    if (!listsTag(request.headers['if-none-match'], tag)) return payload;
    reply.code(304).removeHeader('content-type');
    return '';
  });
}

/** @param current of what is there; undefined where there is nothing @throws VmsecretdError precondition_failed */
export function requireConditions(headers: IncomingHttpHeaders, current: string | undefined): void {
  const { 'if-match': wanted, 'if-none-match': unwanted } = headers;
  if (wanted !== undefined && (current === undefined || !listsTag(wanted, current, { strong: true })))
    throw new VmsecretdError(
      'precondition_failed',
      current === undefined
        ? 'If-Match names a definition, and there is none'
        : 'The definition is another than If-Match names; read it again',
    );
  if (current !== undefined && listsTag(unwanted, current))
    throw new VmsecretdError(
      'precondition_failed',
      'There is such a definition, which If-None-Match rules out',
    );
}

/** @param header `*`, or a list of tags */
function listsTag(header: string | undefined, tag: string, { strong = false } = {}): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const withoutWeakness = (text: string) => (strong ? text : text.replace(/^W\//, ''));
  return header.split(',').some(one => withoutWeakness(one.trim()) === withoutWeakness(tag));
}
