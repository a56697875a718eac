// The daemon itself: health, version, openapi.json.
import type { FastifyInstance } from 'fastify';

export interface ServiceTools {
  version: string;
}

export function addServiceRoutes(app: FastifyInstance, { version }: ServiceTools): void {
  app.get('/v1/health', { schema: { summary: 'Whether the daemon answers' } }, async () => ({
    status: 'ok',
  }));
  app.get('/v1/version', { schema: { summary: 'Versions' } }, async () => ({
    version,
    node: process.version,
  }));
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
