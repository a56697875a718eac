// A random secret that can be recognized, plain and as base64 at each of its three alignments, and the places of this
// host to look for it: what is searched is named, so that a hit says where.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export class Canary {
  readonly text = `canary-${randomBytes(18).toString('hex')}`;
  readonly #forms: readonly Buffer[] = [
    Buffer.from(this.text),
    ...[0, 1, 2].map(offset => Buffer.from(base64At(this.text, offset))),
  ];

  isIn(bytes: Buffer): boolean {
    return this.#forms.some(form => bytes.includes(form));
  }
}

/** What stands in the base64 of any text that holds this one `offset` (modulo 3) bytes after its beginning. */
function base64At(text: string, offset: number): string {
  const base64 = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]).toString('base64');
  // A digit is six bits: those shared with a neighbour are cut.
  return base64.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + text.length) * 8) / 6));
}

/** Command lines and environments of all processes that we may read. */
export function searchProcesses(canary: Canary): string[] {
  const pids = readdirSync('/proc').filter(entry => /^\d+$/.test(entry));
  return pids
    .flatMap(pid => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
    .filter(path => canary.isIn(readOrNothing(path)));
}

/** Names and contents of all regular files in a folder. */
export function searchFolder(canary: Canary, folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.flatMap(entry => {
    const path = join(folder, entry.name);
    const hits = canary.isIn(Buffer.from(entry.name)) ? [`name of ${path}`] : [];
    if (entry.isDirectory()) return [...hits, ...searchFolder(canary, path)];
    return entry.isFile() && canary.isIn(readOrNothing(path)) ? [...hits, path] : hits;
  });
}

/** A process or file that went away while we looked, or that is not ours to read, has nothing for us. */
function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
