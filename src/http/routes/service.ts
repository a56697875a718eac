// The daemon itself: health, version, paths, openapi.json.
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import type { Folders } from '../../default-folders.js';
import { PACKAGE_ROOT } from '../../package-root.js';

/** Written by npm run build, from the routes. */
const OPENAPI_FILE = new URL('dist/bundle/openapi.json', PACKAGE_ROOT);

/** Where the daemon looks; `vmsecretctl doctor` looks there, too. */
export interface DaemonPaths extends Folders {
  identities: readonly string[];
  passphraseFiles: readonly string[];
  /** Where it looks for programs: folders as in PATH. */
  programPath: string;
}

export interface ServiceTools {
  version: string;
  paths: DaemonPaths;
}

export function addServiceRoutes(app: FastifyInstance, { version, paths }: ServiceTools): void {
  app.get('/v1/health', { schema: { summary: 'Whether the daemon answers' } }, async () => ({
    status: 'ok',
  }));
  app.get('/v1/version', { schema: { summary: 'Versions' } }, async () => ({
    version,
    node: process.version,
  }));
  app.get('/v1/paths', { schema: { summary: 'Files and folders that the daemon uses' } }, async () => paths);
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(await readFile(OPENAPI_FILE)),
  );
}
