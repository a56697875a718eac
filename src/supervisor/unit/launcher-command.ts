// The command line that a unit's launcher was given (microvm.nix brings it), as the launcher left it for the daemon.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemErrorCode, VmsecretdError } from '../../errors.js';

const LIMIT_BYTES = 1024 * 1024;
const LIMIT_ARGUMENTS = 10_000;

/**
 * Reads the arguments, each ended by NUL. The folder belongs to the user of the VMM, so links, other kinds of files and large
 * files are rejected.
 * @returns undefined where the launcher was given no command line
 * @throws VmsecretdError command_invalid
 */
export async function readLauncherCommand(vm: string, path: string): Promise<readonly string[] | undefined> {
  const refuse = (why: string) =>
    new VmsecretdError('command_invalid', `VM ${vm}: the launcher's command line in ${path} ${why}`, {
      details: { vm, path },
    });
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(error => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw refuse(`cannot be opened (${systemErrorCode(error)}); restart the VM`);
  });
  if (file === undefined) return undefined;
  try {
    if (!(await file.stat()).isFile()) throw refuse('is not a regular file; restart the VM');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LIMIT_BYTES + 1), 0, LIMIT_BYTES + 1, 0);
    if (bytesRead > LIMIT_BYTES) throw refuse(`is longer than ${LIMIT_BYTES} bytes; shorten it`);
    const text = buffer.toString('utf8', 0, bytesRead);
    if (!text.endsWith('\0')) throw refuse('is cut short; restart the VM');
    const argv = text.slice(0, -1).split('\0');
    if (argv.length > LIMIT_ARGUMENTS) throw refuse(`has more than ${LIMIT_ARGUMENTS} arguments; shorten it`);
    return argv;
  } finally {
    await file.close();
  }
}
