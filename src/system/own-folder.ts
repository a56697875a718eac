// Folders in which nobody but this process's user makes anything, so that what stands there can be used by its name. What
// somebody else has made before us, in our place, is refused or replaced, and never followed, given away or opened up.
import { chmod, lchown, lstat, mkdir, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { requireExecuted } from './host-programs.js';
import { requireTrusted, UntrustedPathError, WRITABLE_BY_OTHERS } from './trusted-path.js';
import type { UserIds } from './users.js';

/**
 * Makes the folder with this mode, or takes the one that is there with all that stands in it.
 * @throws VmsecretdError resource_conflict: others can write to it, or have made something in it
 */
export async function takeOwnFolder(path: string, mode: number): Promise<void> {
  await refuseOthersLinks(path);
  const made = await mkdir(path, { recursive: true }).catch(async error => {
    const isThere = await lstat(path).then(
      () => true,
      () => false,
    );
    throw isThere ? refuse(path, 'it is no folder') : error;
  });
  trust(path, 'root');
  await requireOwn(path, `${path}/.`);
  for (const name of await readdir(path)) await requireOwn(join(path, name));
  if (made !== undefined) await chmod(path, mode);
}

/**
 * Makes a folder that is this user's alone, in one of ours; what is there and is not is replaced.
 * @param ids undefined for this process's own user
 */
export async function makePrivateFolder(path: string, ids: UserIds | undefined): Promise<void> {
  const stats = await lstat(path).catch(() => undefined);
  const uid = ids?.uid ?? process.geteuid?.();
  // Ours, too: made, and not yet given away.
  const isUsable = stats?.isDirectory() && (stats.uid === uid || stats.uid === process.geteuid?.());
  if (stats !== undefined && !isUsable) await removeAnything(path);
  if (isUsable !== true) await mkdir(path, { mode: 0o700 });
  // A hardened daemon may change no mode of what it has given away.
  else if ((stats?.mode ?? 0) % 0o1000 !== 0o700) await chmod(path, 0o700);
  if (ids !== undefined) await lchown(path, ids.uid, ids.gid);
}

/** Where another user writes, a path may be exchanged at each step: rm(1) goes by open folders, Node by names. */
export async function removeAnything(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    if (systemErrorCode(error) !== 'EISDIR') throw error;
    const result = await execa('rm', ['-rf', '--one-file-system', '--', path], {
      reject: false,
      stdio: 'ignore',
    });
    requireExecuted('rm', result);
    if (result.failed) throw refuse(path, 'it cannot be removed');
  }
}

/** Before anything is made behind them. */
async function refuseOthersLinks(path: string): Promise<void> {
  for (let place = path; ; place = dirname(place)) {
    try {
      return trust(place, 'links');
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}

function trust(path: string, how: 'links' | 'root'): void {
  try {
    requireTrusted(path, how);
  } catch (error) {
    if (error instanceof UntrustedPathError) throw refuse(path, error.message);
    if (systemErrorCode(error) === 'ENOTDIR') throw refuse(path, 'it stands in no folder');
    throw error;
  }
}

async function requireOwn(shown: string, path = shown): Promise<void> {
  const stats = await lstat(path).catch(error => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
  // A socket is for who may connect to it, systemd's SocketUser= say; a name that went is nobody's.
  if (stats === undefined || stats.isSocket()) return;
  const isOurs = stats.uid === process.geteuid?.() || stats.uid === 0;
  if (!isOurs) throw refuse(shown, `it belongs to the user ${stats.uid}`);
  // Who may write to a link says nothing.
  if (!stats.isSymbolicLink() && (stats.mode & WRITABLE_BY_OTHERS) !== 0)
    throw refuse(shown, 'others can write to it');
}

function refuse(path: string, why: string): VmsecretdError {
  return new VmsecretdError(
    'resource_conflict',
    `${path} is refused: ${why}; remove it, or use another runtime directory`,
    { details: { path } },
  );
}
