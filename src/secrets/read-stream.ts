// Reads a secret from a UNIX socket: bounded, within a time, in buffers that can be wiped.
import type { Socket } from 'node:net';

export type StreamProblem = 'late' | 'too_large';

/** A connection that works and does not give what it should. Its message is a clause about the socket. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly problem: StreamProblem;

  constructor(problem: StreamProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

export interface StreamLimits {
  limitBytes: number;
  timeoutMs: number;
  /** Ends the reading, and is left out; without one the end of the stream does. */
  until?: number;
}

/** @returns a buffer of its own. @throws StreamError, or the system's error as it is. The socket is closed in each case */
export async function readStream(
  socket: Socket,
  { limitBytes, timeoutMs, until }: StreamLimits,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const deadline = new StreamError('late', `did not send all of it within ${timeoutMs / 1000} seconds`);
  const timer = setTimeout(() => socket.destroy(deadline), timeoutMs);
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      const end = until === undefined ? -1 : chunk.indexOf(until);
      sizeBytes += end < 0 ? chunk.length : end;
      if (sizeBytes > limitBytes)
        throw new StreamError('too_large', `sent more than the limit of ${limitBytes} bytes`);
      if (end >= 0) break;
    }
    const whole = Buffer.allocUnsafeSlow(sizeBytes);
    let filledBytes = 0;
    for (const chunk of chunks) filledBytes += chunk.copy(whole, filledBytes);
    return whole;
  } finally {
    clearTimeout(timer);
    socket.destroy();
    for (const chunk of chunks) chunk.fill(0);
  }
}
