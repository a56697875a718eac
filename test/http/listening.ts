// The daemon's three sockets in a folder of their own, for as long as a test takes.
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import { DaemonSockets } from '../../src/http/daemon-sockets.js';
import { socketFolder } from '../setup/socket-folder.js';

export async function listen(
  t: Test,
  app: FastifyInstance,
): Promise<{ sockets: DaemonSockets; path(file: string): string }> {
  const runtimeDirectory = socketFolder(t);
  await app.ready();
  const sockets = new DaemonSockets({
    runtimeDirectory,
    operatorGid: undefined,
    activatedSockets: new Map(),
  });
  await sockets.listen(app);
  t.teardown(async () => {
    await sockets.close();
    await app.close();
  });
  return { sockets, path: file => join(runtimeDirectory, file) };
}
