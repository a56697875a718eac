// The daemon's HTTP interface as curl sees it: one request on one UNIX socket, or a stream.
import { type IncomingMessage, request } from 'node:http';

export interface Answer {
  status: number;
  type: string;
  body: Buffer;
  /** Undefined for what is no JSON. */
  json: unknown;
}

export interface Call {
  socketPath: string;
  method: string;
  path: string;
  /** Sent as JSON; bytes as they are. */
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
  timeoutMs: number;
}

export async function callUnix(call: Call): Promise<Answer> {
  const response = await openUnix(call);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const type = response.headers['content-type'] ?? '';
  const json = /json/.test(type) && body.length > 0 ? JSON.parse(body.toString('utf8')) : undefined;
  return { status: response.statusCode ?? 0, type, body, json };
}

/** An answer whose body is still to come. */
export function openUnix({
  socketPath,
  method,
  path,
  body,
  headers: more,
  timeoutMs,
}: Call): Promise<IncomingMessage> {
  const isRaw = Buffer.isBuffer(body);
  const content = body === undefined ? undefined : isRaw ? body : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const headers = {
      ...(content && { 'content-type': isRaw ? 'application/octet-stream' : 'application/json' }),
      ...more,
    };
    const outgoing = request({ socketPath, method, path, headers, timeout: timeoutMs }, resolve);
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)),
    );
    outgoing.on('error', reject);
    outgoing.end(content);
  });
}
