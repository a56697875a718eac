// One cloud-hypervisor process, the real one or the stand-in, with what a test asks of it: HTTP requests, its console, its end.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { type AfterPrinting, buildPvhGuest } from '../../guests/pvh/pvh-guest.js';
import { socketFolder } from '../../setup/socket-folder.js';

const DEADLINE_MS = 15_000;
const ASK_AGAIN_MS = 5;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface VmmUnderTest {
  readonly folder: string;
  readonly apiSocket: string;
  readonly consoleSocket: string;
  readonly child: ChildProcess;
  /** Exit status and signal, to come. */
  readonly exit: Promise<unknown[]>;
  get(name: string): Promise<Answer>;
  put(name: string, body?: string | object): Promise<Answer>;
  /** Writes the guest (under `fileName`, for the stand-in's failures) and gives a VM config that boots it. */
  configOf(after: AfterPrinting, oemStrings?: readonly string[], fileName?: string): object;
}

/** Starts the program and waits for its API socket, in the folder of another run where one is given. */
export async function startVmm(
  t: Test,
  program: string,
  options: { argv?: readonly string[]; folder?: string } = {},
): Promise<VmmUnderTest> {
  const folder = options.folder ?? socketFolder(t);
  const apiSocket = join(folder, 'api.sock');
  const consoleSocket = join(folder, 'console.sock');
  const child = spawn(program, ['--api-socket', `path=${apiSocket}`, ...(options.argv ?? [])], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, MALLOC_ARENA_MAX: '1' },
  });
  child.stderr?.resume();
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(DEADLINE_MS) });
  // A test that does not wait for the end ends it.
  exit.catch(() => {});
  t.teardown(() => child.kill('SIGKILL'));
  await untilAnswered(apiSocket);
  return {
    folder,
    apiSocket,
    consoleSocket,
    child,
    exit,
    get: name => call(apiSocket, 'GET', name),
    put: (name, body) => call(apiSocket, 'PUT', name, body),
    configOf: (after, oemStrings = ['a'], fileName = 'kernel') => {
      writeFileSync(join(folder, fileName), buildPvhGuest({ after }));
      return {
        payload: { kernel: join(folder, fileName) },
        memory: { size: 64 * 1024 * 1024 },
        console: { mode: 'Null' },
        serial: { mode: 'Socket', socket: consoleSocket },
        platform: { oem_strings: oemStrings },
      };
    },
  };
}

/** The same without a test, for as long as `use` takes. */
export async function withVmm(program: string, use: (apiSocket: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync('/tmp/vmsecretd-');
  const apiSocket = join(folder, 'api.sock');
  const child = spawn(program, ['--api-socket', `path=${apiSocket}`], { stdio: 'ignore' });
  const exit = once(child, 'exit');
  try {
    await untilAnswered(apiSocket);
    await use(apiSocket);
  } finally {
    child.kill('SIGKILL');
    await exit;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Between a socket file's appearance and the first answer there is no event: it is asked again and again. */
async function untilAnswered(apiSocket: string): Promise<void> {
  const abort = AbortSignal.timeout(DEADLINE_MS);
  while (!(await isAnswered(apiSocket))) await delay(ASK_AGAIN_MS, undefined, { signal: abort });
}

async function isAnswered(apiSocket: string): Promise<boolean> {
  if (!existsSync(apiSocket)) return false;
  return call(apiSocket, 'GET', 'vmm.ping').then(
    ({ status }) => status === 200,
    () => false,
  );
}

/** One request on a connection of its own. */
export async function call(
  apiSocket: string,
  method: 'GET' | 'PUT' | 'POST',
  name: string,
  body?: string | object,
): Promise<Answer> {
  const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? '');
  const outgoing = request({
    socketPath: apiSocket,
    method,
    path: `/api/v1/${name}`,
    headers: { 'content-length': Buffer.byteLength(text) },
    agent: false,
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  // The server may close before it has read all of a body that it refuses.
  const answered = once(outgoing, 'response');
  outgoing.end(text);
  const [response] = await answered;
  outgoing.on('error', () => {});
  let content = '';
  for await (const chunk of response.setEncoding('utf8')) content += chunk;
  return { status: response.statusCode, body: parseAnswer(content) };
}

/** Its JSON; a text that is none (micro_http's own errors hold a bare line break), as it is; null for nothing. */
function parseAnswer(content: string): unknown {
  if (content === '') return null;
  try {
    return JSON.parse(content);
  } catch {
    return content;
  }
}

/** A client of the console socket. */
export interface ConsoleClient {
  /** Resolves once the text has come; rejects at the deadline or the end, telling what came. */
  until(text: string): Promise<void>;
  /** Has nothing more to say, and reads on. */
  end(): void;
  /** All that came, once the server has closed the connection. */
  readonly ended: Promise<string>;
}

/** @param options.readsAfterMs what comes before fills the socket */
export async function connectConsole(
  t: Test,
  path: string,
  { readsAfterMs = 0 } = {},
): Promise<ConsoleClient> {
  const socket = createConnection(path).setEncoding('latin1');
  await once(socket, 'connect');
  if (readsAfterMs > 0) {
    socket.pause();
    setTimeout(() => socket.resume(), readsAfterMs);
  }
  t.teardown(() => socket.destroy());
  let content = '';
  socket.on('data', (text: string) => {
    content += text;
  });
  const abort = AbortSignal.timeout(DEADLINE_MS);
  const ended = once(socket, 'close', { signal: abort }).then(() => content);
  ended.catch(() => {});
  return {
    ended,
    end: () => void socket.end(),
    until: async text => {
      while (!content.includes(text)) {
        await Promise.race([once(socket, 'data', { signal: abort }), once(socket, 'close')]);
        if (socket.closed && !content.includes(text)) throw new Error(`the console ended after: ${content}`);
      }
    },
  };
}
