// Takes away a UNIX socket that a process which was killed has left: nobody listens there, and nobody can listen there again.
import { lstat, rm } from 'node:fs/promises';
import { execa } from 'execa';
import { systemErrorCode } from '../errors.js';
import { connectDirectly } from './connect-directly.js';
import { runAs } from './run-as.js';
import type { UserIds } from './users.js';

/** What stands at the path now; `free` where a program may listen. */
export type SocketPlace = 'free' | 'dead' | 'listened on' | 'no socket';

export async function lookAtSocketPlace(path: string): Promise<SocketPlace> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return 'free';
  if (!stats.isSocket()) return 'no socket';
  try {
    (await connectDirectly(path)).destroy();
    return 'listened on';
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return 'free';
    // Any other refusal, of a queue that is full or of a right that is missing, comes of a socket in use.
    return code === 'ECONNREFUSED' ? 'dead' : 'listened on';
  }
}

/**
 * Removes the socket where nobody listens.
 * @param owner whose folder it may stand in, and as whom it is removed: by name, that user could have root remove another's
 * @returns what stands there afterwards; `dead` where it could not be removed
 */
export async function removeDeadSocket(path: string, owner: UserIds | undefined): Promise<SocketPlace> {
  const found = await lookAtSocketPlace(path);
  if (found !== 'dead') return found;
  if (owner === undefined) await rm(path, { force: true }).catch(() => {});
  else {
    const [program, ...args] = runAs(owner, ['rm', '-f', '--', path]);
    await execa(program, args, { reject: false, stdio: 'ignore' });
  }
  return lookAtSocketPlace(path);
}
