// The daemon itself: health, version, paths, openapi.json.
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import { PACKAGE_ROOT } from '../../package-root.js';
import type { Vms } from '../../vm/vms.js';
import { HealthSchema, PathsSchema, VersionSchema } from '../schemas.js';

/** Written by npm run build, from the routes. */
const OPENAPI_FILE = new URL('dist/bundle/openapi.json', PACKAGE_ROOT);

export type DaemonPaths = Static<typeof PathsSchema>;

export interface ServiceTools {
  version: string;
  paths: DaemonPaths;
  vms: Vms;
}

export function addServiceRoutes(app: FastifyInstance, { version, paths, vms }: ServiceTools): void {
  app.get(
    '/v1/health',
    { schema: { summary: 'Whether the daemon is well, and what is not', response: { 200: HealthSchema } } },
    async () => {
      const problems = vms.list().flatMap(({ recordProblem }) => recordProblem ?? []);
      return { status: problems.length === 0 ? 'ok' : 'degraded', problems };
    },
  );
  app.get('/v1/version', { schema: { summary: 'Versions', response: { 200: VersionSchema } } }, async () => ({
    version,
    node: process.version,
  }));
  app.get(
    '/v1/paths',
    { schema: { summary: 'Files and folders that the daemon uses', response: { 200: PathsSchema } } },
    async () => paths,
  );
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(await readFile(OPENAPI_FILE)),
  );
}
