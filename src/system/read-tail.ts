import { open } from 'node:fs/promises';

/** The last bytes of a file as one line of printable text; empty where there is no such file. */
export async function readTail(path: string, sizeBytes: number): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, sizeBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
    // Escape sequences from a hostile VMM stay out of terminals.
    return buffer
      .toString('utf8', 0, bytesRead)
      .trim()
      .replaceAll(/[^\x20-\x7e]+/g, ' ');
  } finally {
    await file.close();
  }
}
