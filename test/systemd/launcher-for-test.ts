// systemd/vmsecretd-launch in a folder of its own, with a small server in the daemon's place.
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { socketFolder } from '../setup/socket-folder.js';

export const LAUNCHER = join(PROJECT_ROOT, 'systemd/vmsecretd-launch');
export const SHOWS_ITSELF = join(PROJECT_ROOT, 'test/fixtures/bin/shows-itself');
export type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** Listens on PATH with HTTP until the test ends. */
export async function listen(t: Test, path: string, answer: Answer): Promise<void> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    answer(request, response, Buffer.concat(chunks).toString());
  });
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
}

export function says(text: string, status = 200): Answer {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
  };
}

/** The launcher as a unit starts it, in a folder of its own, with a daemon that answers so; none without an answer. */
export async function prepare(t: Test, answer?: Answer) {
  const runtime = socketFolder(t);
  const cwd = join(runtime, 'cwd');
  mkdirSync(cwd);
  if (answer !== undefined) await listen(t, join(runtime, 'launch.sock'), answer);
  const launch = (args: string[], environment: Record<string, string> = {}) =>
    execa(LAUNCHER, args, {
      cwd,
      reject: false,
      timeout: 20_000,
      env: { VMSECRETD_RUNTIME_DIRECTORY: runtime, ...environment },
    });
  return { runtime, cwd, launch };
}
