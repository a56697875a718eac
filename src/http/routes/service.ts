// The daemon itself: health, version, paths, openapi.json.
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import type { Folders } from '../../default-folders.js';
import { PACKAGE_ROOT } from '../../package-root.js';
import type { Vms } from '../../vm/vms.js';

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
  vms: Vms;
}

export function addServiceRoutes(app: FastifyInstance, { version, paths, vms }: ServiceTools): void {
  app.get('/v1/health', { schema: { summary: 'Whether the daemon is well, and what is not' } }, async () => {
    const problems = vms.list().flatMap(({ recordProblem }) => recordProblem ?? []);
    return { status: problems.length === 0 ? 'ok' : 'degraded', problems };
  });
  app.get('/v1/version', { schema: { summary: 'Versions' } }, async () => ({
    version,
    node: process.version,
  }));
  app.get('/v1/paths', { schema: { summary: 'Files and folders that the daemon uses' } }, async () => paths);
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(await readFile(OPENAPI_FILE)),
  );
}
