// Why a test cannot run on this machine: a sentence for tap's `skip`, or false.

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { PROJECT_ROOT } from './project-root.js';

export function whyNotOnPath(program: string): string | false {
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .some(folder => mayAccess(join(folder, program), constants.X_OK));
  return found ? false : `${program} is not on PATH`;
}

export function whyNoKvm(): string | false {
  return mayAccess('/dev/kvm', constants.R_OK | constants.W_OK)
    ? false
    : '/dev/kvm cannot be opened for reading and writing';
}

export function whyNotRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'needs root';
}

/** Others run the stand-in VMM from this clone. */
export function whyClosedToOthers(): string | false {
  const read = ['--reuid=nobody', '--clear-groups', 'test', '-r', join(PROJECT_ROOT, 'package.json')];
  return spawnSync('setpriv', read).status === 0 ? false : `${PROJECT_ROOT} cannot be read by other users`;
}

export function mayAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
