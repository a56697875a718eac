// FIFOs that a VMM's process reads once: QEMU an OEM string from each (`-smbios type=11,path=`), the shell of delivery
// "cmdline" its command. No secret is on a command line of ours or in a file.
import { lchown, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import { requireExecuted } from '../system/host-programs.js';

export function fifoPaths(directory: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => fifoPath(directory, index));
}

export function fifoPath(directory: string, index: number): string {
  return join(directory, `oem-string-${index}`);
}

/**
 * Makes `count` FIFOs of mode 0600 in a private folder and gives their paths; those that a killed start left behind are
 * replaced. `owner` is who the VMM runs as, where that is not this process's user.
 */
export async function makeFifos(
  directory: string,
  count: number,
  owner?: { uid: number; gid: number },
): Promise<string[]> {
  const paths = fifoPaths(directory, count);
  if (count === 0) return paths;
  await Promise.all(paths.map(path => rm(path, { force: true })));
  const result = await execa('mkfifo', ['-m', '600', '--', ...paths], { reject: false, stdio: 'ignore' });
  requireExecuted('mkfifo', result);
  if (result.failed) {
    throw new VmsecretdError('resource_conflict', `mkfifo (coreutils) cannot make FIFOs in ${directory}.`);
  }
  if (owner) await Promise.all(paths.map(path => lchown(path, owner.uid, owner.gid)));
  return paths;
}
