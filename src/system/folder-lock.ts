// Keeps a folder for one process: the kernel holds the lock as long as the process has the folder open, however it ends.
import { mkdir, open } from 'node:fs/promises';
import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import { requireExecuted } from './host-programs.js';

/** flock(1)'s own exit status for a lock that another has. */
const TAKEN = 75;
/** A daemon that is being replaced needs a moment to end. */
const WAIT_SECONDS = 2;

/**
 * By flock(1), since Node has no flock(2): the lock belongs to the open folder, which the program inherits and this process keeps.
 * Works where nothing can be written, too.
 * @returns what gives it up @throws VmsecretdError resource_conflict: another process has it
 */
export async function lockFolder(path: string): Promise<() => Promise<void>> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const folder = await open(path, 'r');
  try {
    const args = ['--timeout', String(WAIT_SECONDS), '--conflict-exit-code', String(TAKEN), '0'];
    const result = await execa('flock', args, {
      reject: false,
      // A stream that nobody reads: execa passes its descriptor on.
      stdin: folder.createReadStream({ autoClose: false }),
      stdout: 'ignore',
      stderr: 'ignore',
    });
    requireExecuted('flock', result);
    if (result.exitCode === TAKEN) {
      throw new VmsecretdError(
        'resource_conflict',
        `Another daemon uses the state directory ${path}; stop it, or give this one its own --state-directory, --runtime-directory and --definitions`,
        { details: { path } },
      );
    }
    // A file system without locks: what cannot be told does not keep the daemon from starting.
    return () => folder.close();
  } catch (error) {
    await folder.close();
    throw error;
  }
}
