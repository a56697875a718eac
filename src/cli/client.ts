// The daemon's HTTP interface as vmsecretctl uses it.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode } from '../errors.js';
import { requestUnix } from '../system/unix-http.js';
import { isRefusal } from './answer-checks.js';

/** Exit statuses of vmsecretctl. */
export const EXIT = { done: 0, failed: 1, usedWrongly: 2, unknownVm: 3, notReached: 4, outdated: 5 } as const;
export const EXIT_STATUS =
  'Exit status: 0 done, 1 failed, 2 used wrongly, 3 no such VM, 4 the daemon cannot be reached, 5 list --outdated found some.';

/** Codes of what goes wrong in vmsecretctl itself; the daemon's are those of errors.ts. */
const OWN_CODES: Readonly<Record<number, string>> = {
  [EXIT.failed]: 'failed',
  [EXIT.usedWrongly]: 'usage_error',
  [EXIT.unknownVm]: 'vm_unknown',
  [EXIT.notReached]: 'daemon_unreachable',
};

/** Ends the program with a message for people. */
export class CliError extends Error {
  readonly exitStatus: number;
  /** What the daemon answered (RFC 9457), for programs; where it did not, one of our own. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(message: string, exitStatus: number, problem?: Readonly<Record<string, unknown>>) {
    super(message);
    this.exitStatus = exitStatus;
    const code = OWN_CODES[exitStatus];
    this.problem = problem ?? { type: `urn:vmsecretd:error:${code}`, code, detail: message };
  }
}

export interface Client {
  readonly socketPath: string;
  /** @param body JSON, or the text of it @returns the answer's JSON, or null where it has no body @throws CliError */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<unknown>;
  /** As call, of what may take as long as a VM takes: while it waits, the daemon must answer whether it is well. */
  wait(method: string, path: string): Promise<unknown>;
  /** An answer that goes on. @throws CliError */
  stream(path: string): Promise<IncomingMessage>;
  /** @throws CliError */
  send(path: string, bytes: Buffer): Promise<void>;
}

/** The most that the daemon waits for a VM when told how long. */
export const MAXIMUM_WAIT_SECONDS = 86_400;
/** A lifecycle call may wait as long as the definition says, and for its turn; the daemon itself has the deadline. */
const LONGEST_WAIT_MS = MAXIMUM_WAIT_SECONDS * 1_000;
/** How long a daemon may take that is busy and well: systemd takes connections for one that is not. */
const ANSWER_TIMEOUT_MS = 15_000;
const HEALTH_POLL_MS = 10_000;

interface Request {
  method: string;
  path: string;
  body?: Buffer;
  type?: string;
  headers?: Record<string, string>;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** @param host where the socket leads, if not to this one's daemon */
export function createClient(socketPath: string, host?: string): Client {
  const place = host === undefined ? socketPath : `${host}, over ssh,`;
  const request = async ({
    method,
    path,
    body,
    type,
    headers = {},
    timeoutMs = ANSWER_TIMEOUT_MS,
    signal,
  }: Request) => {
    const answer = await requestUnix({
      socketPath,
      method,
      path,
      body,
      headers: {
        ...(type === undefined ? {} : { 'content-type': type }),
        ...headers,
      },
      timeoutMs,
      signal,
    }).catch(error => {
      throw signal?.aborted ? signal.reason : notReached(place, error);
    });
    const json: unknown = answer.body.length === 0 ? null : JSON.parse(answer.body.toString('utf8'));
    if (answer.status >= 400) throw refused(json);
    return json;
  };
  const requireHealth = () => request({ method: 'GET', path: '/v1/health' });
  return {
    socketPath,
    call: (method, path, body, headers = {}) =>
      request({
        method,
        path,
        headers,
        ...(body === undefined
          ? {}
          : {
              body: Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
              type: 'application/json',
            }),
      }),
    wait: async (method, path) => {
      // Before anything is asked for: what is sent to a daemon that is down would be done once it is up again.
      await requireHealth();
      return whileHealthy(requireHealth, signal =>
        request({ method, path, timeoutMs: LONGEST_WAIT_MS, signal }),
      );
    },
    send: async (path, body) => {
      await request({ method: 'POST', path, body, type: 'application/octet-stream' });
    },
    stream: path =>
      new Promise((resolve, reject) => {
        const outgoing = httpRequest({ socketPath, path, headers: { host: 'localhost' } }, response => {
          clearTimeout(deadline);
          if ((response.statusCode ?? 500) < 400) return resolve(response);
          const chunks: Buffer[] = [];
          response.on('data', chunk => chunks.push(chunk));
          response.on('end', () => reject(refused(JSON.parse(Buffer.concat(chunks).toString('utf8')))));
        });
        const deadline = setTimeout(
          () => outgoing.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })),
          ANSWER_TIMEOUT_MS,
        );
        outgoing.on('error', error => reject(notReached(place, error)));
        outgoing.on('close', () => clearTimeout(deadline));
        outgoing.end();
      }),
  };
}

/** @throws what `requireHealth` throws, which ends the work */
async function whileHealthy<Result>(
  requireHealth: () => Promise<unknown>,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const unwell = new AbortController();
  const done = new AbortController();
  const watch = async () => {
    for (;;) {
      await delay(HEALTH_POLL_MS, undefined, { signal: done.signal });
      await requireHealth();
    }
  };
  watch().catch(error => unwell.abort(error));
  try {
    return await work(unwell.signal);
  } finally {
    done.abort();
  }
}

function refused(json: unknown): CliError {
  const problem = isRefusal(json) ? json : {};
  const { code, detail, console = [] } = problem;
  const printed = console.length === 0 ? '' : `\nlast on its console:\n  ${console.join('\n  ')}`;
  // The daemon's words are about its routes.
  const why = code === 'forbidden' ? 'that is for root, on admin.sock: sudo vmsecretctl …' : detail;
  return new CliError(
    `${why ?? 'the daemon refused'} (${code ?? 'unknown'})${printed}`,
    code === 'vm_unknown' ? EXIT.unknownVm : EXIT.failed,
    problem,
  );
}

const START =
  'systemctl restart vmsecretd, or start vmsecretd by hand; another socket is named with --socket or VMSECRETD_SOCKET';
const REMEDIES: Record<string, string> = {
  ENOENT: `is vmsecretd running? ${START}`,
  ECONNREFUSED: `nobody listens there: ${START}`,
  ETIMEDOUT: `it has not answered within ${ANSWER_TIMEOUT_MS / 1000} s; systemctl status vmsecretd and journalctl -u vmsecretd -n 20 say why, and sudo vmsecretctl doctor looks further`,
  EACCES: 'you may not use it: join the group that owns it (ls -l shows which), or run as root',
};

function notReached(place: string, error: unknown): CliError {
  const code = systemErrorCode(error) ?? 'no answer';
  const remedy = REMEDIES[code] ?? 'is vmsecretd running?';
  return new CliError(`cannot reach vmsecretd at ${place} (${code}): ${remedy}`, EXIT.notReached);
}
