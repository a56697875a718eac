// Reads a file that is expected to be small: takes a path and a limit, gives its bytes. Refuses what is no
// regular file (after following links) and what is beyond the limit, without reading it first; as root also what
// others than root could have put there.

import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';
import { closePlace, type FoundPlace, findPlace } from './find-together.js';
import { BrokenLinkError, type Trust, UntrustedPathError } from './trusted-path.js';

export type ReadRefusal = 'not_regular' | 'too_large' | 'changed' | 'untrusted';

/** A file that exists and may be opened, and is refused all the same. */
export class ReadRefusedError extends Error {
  override readonly name = 'ReadRefusedError';
  readonly refusal: ReadRefusal;

  constructor(refusal: ReadRefusal, message: string) {
    super(message);
    this.refusal = refusal;
  }
}

export interface ReadOptions {
  limitBytes: number;
  /** What root asks of the path, `links` unless given; somebody else reads what they may. */
  trust?: Trust;
  /** Where the file was found before; see find-together.ts. */
  place?: FoundPlace | undefined;
  /** Sees the opened file's owner, mode and size before a byte is read; refuses by throwing. */
  inspect?: (stats: Stats) => void;
}

/**
 * The whole content in a buffer of its own (none of Node's shared pool), so that wiping it wipes it.
 * Throws ReadRefusedError, what `inspect` throws, or the system's error as it is.
 */
export async function readRegularFile(path: string, options: ReadOptions): Promise<Buffer> {
  const file = await openFile(path, options);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new ReadRefusedError('not_regular', 'it is not a regular file');
    if (stats.size > options.limitBytes) {
      const limit = `the limit is ${options.limitBytes} bytes`;
      throw new ReadRefusedError('too_large', `it has ${stats.size} bytes, ${limit}`);
    }
    options.inspect?.(stats);
    return await (stats.size === 0 ? readUnsized(file, options) : readExactly(file, stats.size));
  } finally {
    await file.close();
  }
}

// O_NONBLOCK: opening a FIFO nobody writes to would otherwise wait for ever.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

async function openFile(path: string, { trust, place }: ReadOptions): Promise<FileHandle> {
  const found = place ?? findPlace(path, { trust });
  try {
    if ('error' in found) throw found.error;
    return await open(`/proc/self/fd/${found.descriptor}`, FLAGS);
  } catch (error) {
    if (error instanceof UntrustedPathError) throw new ReadRefusedError('untrusted', error.message);
    throw error;
  } finally {
    if (place === undefined) closePlace(found);
  }
}

async function readExactly(file: FileHandle, sizeBytes: number): Promise<Buffer> {
  // One byte more than expected: a file that grew meanwhile fills it.
  const buffer = Buffer.allocUnsafeSlow(sizeBytes + 1);
  let filledBytes = 0;
  while (filledBytes <= sizeBytes) {
    const { bytesRead } = await file.read(buffer, filledBytes, buffer.length - filledBytes, null);
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  if (filledBytes !== sizeBytes) {
    buffer.fill(0);
    throw changedSize();
  }
  return buffer.subarray(0, sizeBytes);
}

/** Of an unknown size, as /proc and FUSE have them; of any other file system, one that was empty when it was opened. */
async function readUnsized(file: FileHandle, { limitBytes }: ReadOptions): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(limitBytes + 1);
  let filledBytes = 0;
  while (filledBytes < buffer.length) {
    const { bytesRead } = await file.read(buffer, filledBytes, buffer.length - filledBytes, null);
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  const content = Buffer.allocUnsafeSlow(Math.min(filledBytes, limitBytes));
  buffer.copy(content);
  buffer.fill(0, 0, filledBytes);
  const hasGrown = (await file.stat()).size !== 0;
  if (!hasGrown && filledBytes <= limitBytes) return content;
  content.fill(0);
  if (hasGrown) throw changedSize();
  throw new ReadRefusedError('too_large', `it has more bytes than the limit of ${limitBytes}`);
}

function changedSize(): ReadRefusedError {
  return new ReadRefusedError('changed', 'it changed its size while it was read');
}

/** A clause about the path, or undefined for what is no error of the system. */
export function explainReadError(error: unknown): string | undefined {
  if (error instanceof BrokenLinkError) return error.message;
  const code = systemErrorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist';
  return code === undefined ? undefined : `cannot be read (${code})`;
}
