// The end of a console as lines of printable text, for whoever waited in vain.
import type { Readable } from 'node:stream';
import { printableConsoleLine } from '../system/printable.js';

const LINES = 10;
const LINE_LENGTH = 200;
/** Ten long lines with escape sequences among them. */
const TAIL_BYTES = 8 * 1024;
/** A journal that takes longer keeps nobody from the answer. */
const READ_TIMEOUT_MS = 2_000;

/** @returns none where the console cannot be read in time */
export async function lastConsoleLines(console: Readable | Buffer): Promise<string[]> {
  const tail = Buffer.isBuffer(console) ? console.subarray(-TAIL_BYTES) : await readTailOf(console);
  return tail
    .toString('utf8')
    .split(/[\r\n]+/)
    .map(line => printableConsoleLine(line).trim().slice(0, LINE_LENGTH))
    .filter(line => line !== '')
    .slice(-LINES);
}

async function readTailOf(stream: Readable): Promise<Buffer> {
  let tail = Buffer.alloc(0);
  const late = setTimeout(() => stream.destroy(), READ_TIMEOUT_MS);
  try {
    for await (const bytes of stream) tail = Buffer.concat([tail, bytes]).subarray(-TAIL_BYTES);
  } catch {
    // What came before will do.
  } finally {
    clearTimeout(late);
  }
  return tail;
}
