// systemd/vmsecretd-launch in a folder of its own, with what systemd passes to a unit. test/systemd has it on a real systemd.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { socketFolder } from '../setup/socket-folder.js';

export const LAUNCHER = join(PROJECT_ROOT, 'systemd/vmsecretd-launch');
export const SHOWS_ITSELF = join(PROJECT_ROOT, 'test/fixtures/bin/shows-itself');
export const INVOCATION = '0123456789abcdef0123456789abcdef';
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Listens on PATH with HTTP until the test ends. */
export async function listen(t: Test, path: string, answer: Answer): Promise<void> {
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
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

/** As a unit starts it for VM "demo", whose API socket is descriptor 3. */
export function setUpLauncher(t: Test) {
  const runtime = socketFolder(t);
  const cwd = join(runtime, 'cwd');
  const vmFolder = join(runtime, 'vms/demo');
  const launchFile = join(runtime, 'launch/demo');
  for (const folder of [cwd, vmFolder, join(runtime, 'api'), join(runtime, 'launch')])
    mkdirSync(folder, { recursive: true });
  const socket = join(runtime, 'the-socket');
  writeFileSync(socket, '');
  const environment = {
    VMSECRETD_RUNTIME_DIRECTORY: runtime,
    INVOCATION_ID: INVOCATION,
    LISTEN_PID: '1',
    LISTEN_FDS: '1',
    LISTEN_FDNAMES: 'vmsecretd-api',
  };
  return {
    runtime,
    cwd,
    vmFolder,
    launchFile,
    socket,
    adminSocket: join(runtime, 'admin.sock'),
    apiSocket: join(runtime, 'api/demo.sock'),
    /** What --prepare leaves; this one first, and then these lines. */
    leave(...lines: string[]) {
      const all = [`invocation ${INVOCATION}`, `exec ${SHOWS_ITSELF}`, ...lines, 'end'];
      writeFileSync(launchFile, all.map(line => `${line}\n`).join(''));
    },
    launch: (args: readonly string[], more: Record<string, string> = {}, shell: readonly string[] = []) =>
      execa('sh', ['-c', `exec "$@" 3< ${socket}`, 'sh', ...shell, LAUNCHER, ...args], {
        cwd,
        reject: false,
        timeout: 20_000,
        env: { ...environment, ...more },
      }),
  };
}
