// Bounds the room of what VMMs, their preStarts and guests' consoles print into files of the runtime directory, which is
// memory: of a log that has grown too large all but its end is given back to the file system. The file stays as long as it
// is, with a hole at its front, so that whoever writes or reads goes on where it was and not a byte of the end is lost.
import { type FSWatcher, watch } from 'node:fs';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { systemErrorCode } from '../errors.js';
import type { Logger } from '../log.js';

/** What a log may take before it is cut. */
export const LOG_LIMIT_BYTES = 4 * 1024 * 1024;
/** What is left of it. */
export const LOG_KEPT_BYTES = 1024 * 1024;

/** Between two looks at one log, however fast it grows. */
const PAUSE_MS = 20;
/** After a cut that failed: each try is a process. */
const RETRY_MS = 1_000;
/** stat(2), whatever the file system's own. */
const BLOCK_BYTES = 512;

/** Told by the kernel of each write: an idle log costs nothing. Where that cannot be, it warns. @returns what ends it */
export async function boundLogs(folder: string, logger: Pick<Logger, 'warn'>): Promise<() => void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const looks = new Map<string, { isStale: boolean }>();
  const warned = new Set<string>();
  let isClosed = false;

  async function look(name: string): Promise<void> {
    const running = looks.get(name);
    if (running !== undefined) {
      running.isStale = true;
      return;
    }
    const current = { isStale: true };
    looks.set(name, current);
    while (current.isStale && !isClosed) {
      current.isStale = false;
      const path = join(folder, name);
      const isWithin = await cut(path);
      if (!isWithin && !warned.has(name)) {
        warned.add(name);
        logger.warn(
          { path },
          'a log cannot be cut: fallocate (util-linux) is missing or refused, and it grows',
        );
      }
      await delay(isWithin ? PAUSE_MS : RETRY_MS, undefined, { ref: false });
    }
    looks.delete(name);
  }

  const lookSafely = (name: string) => {
    look(name).catch(error => {
      looks.delete(name);
      logger.warn({ name, err: error }, 'a log could not be looked at');
    });
  };
  const watcher = watchFolder(folder, logger, lookSafely);
  // What grew while there was no daemon.
  for (const name of await readdir(folder)) lookSafely(name);
  return () => {
    isClosed = true;
    watcher?.close();
  };
}

/** @returns undefined where inotify has nothing left: VMs start all the same */
function watchFolder(
  folder: string,
  logger: Pick<Logger, 'warn'>,
  onWrite: (name: string) => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, (_type, name) => {
      if (name !== null) onWrite(name);
    });
    // The folder is gone, and its logs with it.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch (error) {
    const code = systemErrorCode(error);
    logger.warn({ folder, code }, 'logs cannot be watched (fs.inotify.max_user_watches?), and grow');
    return undefined;
  }
}

/** @returns whether it now is within the bound, or gone */
async function cut(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isFile() !== true || stats.blocks * BLOCK_BYTES <= LOG_LIMIT_BYTES) return true;
  const length = stats.size - LOG_KEPT_BYTES;
  if (length <= 0) return true;
  // Node has no fallocate(2).
  const { failed } = await execa(
    'fallocate',
    ['--punch-hole', '--offset', '0', '--length', `${length}`, path],
    {
      reject: false,
      stdio: 'ignore',
    },
  );
  return !failed;
}
