// One HTTP request over a UNIX socket, with a deadline and a bound on the answer.
import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';

export interface UnixRequest {
  socketPath: string;
  method: string;
  path: string;
  body?: Buffer | undefined;
  headers?: Record<string, string>;
  timeoutMs: number;
  /** How to connect; by its name unless given. */
  connect?: (socketPath: string) => Promise<Duplex>;
  signal?: AbortSignal | undefined;
  /** Of the answer's body. One that comes in chunks of a byte takes some 500 times as much memory. */
  limitBytes?: number;
}

export interface UnixResponse {
  status: number;
  body: Buffer;
}

/** No answer of our own daemon is longer. */
const ANSWER_LIMIT_BYTES = 1024 * 1024;

/**
 * A connection of its own for each request: cloud-hypervisor has ten, and drops one after an error.
 * @throws Node.js system errors (ECONNREFUSED, ENOENT…), ETIMEDOUT past the deadline, EMSGSIZE past the bound,
 * EPROTO for an answer that changes the protocol
 */
export async function requestUnix(options: UnixRequest): Promise<UnixResponse> {
  const socket = await options.connect?.(options.socketPath);
  return exchange(options, socket);
}

function exchange(options: UnixRequest, socket: Duplex | undefined): Promise<UnixResponse> {
  const {
    socketPath,
    method,
    path,
    body,
    headers,
    timeoutMs,
    signal,
    limitBytes = ANSWER_LIMIT_BYTES,
  } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        ...(socket === undefined ? { socketPath, agent: false } : { createConnection: () => socket }),
        method,
        path,
        headers: { host: 'localhost', ...headers, 'content-length': body?.length ?? 0 },
        ...(signal === undefined ? {} : { signal }),
      },
      response => {
        const chunks: Buffer[] = [];
        let sizeBytes = 0;
        response.on('data', (chunk: Buffer) => {
          sizeBytes += chunk.length;
          chunks.push(chunk);
          if (sizeBytes > limitBytes) request.destroy(systemError('EMSGSIZE', 'the answer is too long'));
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      },
    );
    // A deadline for the whole exchange; a socket timeout would begin anew with every byte of a slow answer.
    const deadline = setTimeout(() => {
      request.destroy(systemError('ETIMEDOUT', `no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    request.on('error', reject);
    // Node would end the connection and tell nobody.
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      reject(systemError('EPROTO', 'the answer changes the protocol'));
    });
    request.on('close', () => clearTimeout(deadline));
    request.end(body);
  });
}

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
