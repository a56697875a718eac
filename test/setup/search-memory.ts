// Looks for bytes in the memory of another process. Needs root, or to be its user's tracer.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { systemErrorCode } from '../../src/errors.js';

const CHUNK_BYTES = 4 * 1024 * 1024;

/** @returns whether any readable, writable mapping holds one of the needles */
export function isInMemory(pid: number, needles: readonly Buffer[]): boolean {
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r');
  } catch (error) {
    // A process that is gone holds nothing.
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    return writableRanges(pid).some(range => isInRange(memory, range, needles));
  } finally {
    closeSync(memory);
  }
}

interface Range {
  from: number;
  to: number;
}

function writableRanges(pid: number): Range[] {
  const lines = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
  return lines.flatMap(line => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    return from === undefined || to === undefined
      ? []
      : [{ from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) }];
  });
}

function isInRange(memory: number, { from, to }: Range, needles: readonly Buffer[]): boolean {
  // A needle across two chunks is found by what they share.
  const shared = Math.max(...needles.map(needle => needle.length));
  const chunk = Buffer.alloc(CHUNK_BYTES + shared);
  for (let at = from; at < to; at += CHUNK_BYTES) {
    const length = readOrNothing(memory, chunk, Math.min(chunk.length, to - at), at);
    const bytes = chunk.subarray(0, length);
    if (needles.some(needle => bytes.includes(needle))) return true;
  }
  return false;
}

/** A mapping may go while it is read, or have no memory behind it. */
function readOrNothing(memory: number, chunk: Buffer, length: number, at: number): number {
  try {
    return readSync(memory, chunk, 0, length, at);
  } catch {
    return 0;
  }
}
