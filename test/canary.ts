// A secret that can be told from everything else, and the search for it where no secret may be. A finding names the place
// and the form, never the secret.

import { randomBytes } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../src/errors.js';

export interface Finding {
  readonly where: string;
  /** `base64+N`: as part of a base64 text, N bytes behind a three-byte boundary. */
  readonly form: 'plain' | 'base64+0' | 'base64+1' | 'base64+2';
}

export class Canary {
  readonly text: string;
  readonly #needles: readonly [Finding['form'], Buffer][];

  /** Unless given, printable ASCII without a line ending; marked, so that a reader of a finding knows what it was. */
  constructor(text = `canary-${randomBytes(24).toString('hex')}-yranac`) {
    this.text = text;
    this.#needles = [
      ['plain', Buffer.from(this.text)],
      ...([0, 1, 2] as const).map((offset): [Finding['form'], Buffer] => [
        `base64+${offset}`,
        Buffer.from(base64Within(this.text, offset)),
      ]),
    ];
  }

  /** What any search looks for: the secret plain, and as base64 at each alignment. */
  get forms(): Buffer[] {
    return this.#needles.map(([, needle]) => needle);
  }

  searchText(where: string, text: string | Uint8Array): Finding[] {
    const haystack = Buffer.from(text);
    return this.#needles.filter(([, needle]) => haystack.includes(needle)).map(([form]) => ({ where, form }));
  }

  /** Command lines and environments of all processes that can be read; `exceptPids` are those that may know the secret. */
  searchProcesses(options: { exceptPids?: readonly number[] } = {}): Finding[] {
    const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name));
    return pids
      .filter(pid => !options.exceptPids?.includes(Number(pid)))
      .flatMap(pid => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
      .flatMap(path => this.searchText(path, readIfAllowed(path)));
  }

  /** Names of everything in the directories, at any depth, contents of regular files and targets of links (not followed). */
  searchFiles(directories: readonly string[]): Finding[] {
    return directories.flatMap(directory =>
      readdirSync(directory).flatMap(name => {
        const path = join(directory, name);
        const found = this.searchText(`name of ${path.replaceAll(this.text, '…')}`, name);
        const kind = lstatSync(path, { throwIfNoEntry: false });
        if (kind?.isDirectory()) found.push(...this.searchFiles([path]));
        if (kind?.isFile()) found.push(...this.searchText(path, readFileSync(path)));
        if (kind?.isSymbolicLink()) found.push(...this.searchText(`target of ${path}`, readlinkSync(path)));
        return found;
      }),
    );
  }
}

/** The part of a base64 text that only the secret decides, when `offset` bytes of a group of three stand before it. */
function base64Within(secret: string, offset: 0 | 1 | 2): string {
  const bytes = Buffer.from(secret).subarray(offset === 0 ? 0 : 3 - offset);
  return bytes.subarray(0, bytes.length - (bytes.length % 3)).toString('base64');
}

/** More than execve(2) takes, which is 6 MiB; a process may show an endless command line of its own (PR_SET_MM_MAP). */
const PROCESS_LIMIT_BYTES = 8 * 1024 * 1024;

/** Processes end while they are read, and others' environments are theirs. */
function readIfAllowed(path: string): Uint8Array {
  try {
    return readStart(path);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '')) return Buffer.alloc(0);
    throw error;
  }
}

function readStart(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let left = PROCESS_LIMIT_BYTES; left > 0; ) {
      const chunk = Buffer.alloc(Math.min(left, 64 * 1024));
      const length = readSync(file, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      left -= length;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(file);
  }
}
