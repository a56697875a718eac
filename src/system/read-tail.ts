import { open } from 'node:fs/promises';

/**
 * The last bytes of a file as one line of printable text, from a whole word on: nobody can tell what half a word was the half of.
 * Empty where there is no such file.
 */
export async function readTail(path: string, sizeBytes: number): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, sizeBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
    const text = buffer.toString('utf8', 0, bytesRead);
    // Escape sequences from a hostile VMM stay out of terminals.
    return (size > buffer.length ? text.replace(/^\S*/, '') : text).trim().replaceAll(/[^\x20-\x7e]+/g, ' ');
  } finally {
    await file.close();
  }
}
