// How the daemon's children are run that may outlive it: in a session of their own, with nothing of ours but what is named.
import type { WriteStream } from 'node:fs';
import { open } from 'node:fs/promises';

/** A file, not a pipe through us: a pipe would break when this daemon stops, and who writes into it. */
export async function openLog(path: string): Promise<WriteStream> {
  return (await open(path, 'a', 0o600)).createWriteStream();
}

/** Options of execa. */
export function detachedWith(log: WriteStream) {
  return {
    detached: true,
    cleanup: false,
    extendEnv: false,
    stdin: 'ignore',
    stdout: log,
    stderr: log,
    buffer: false,
    reject: false,
  } as const;
}
