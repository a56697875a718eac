// What a user may do with files: tried as that user, since groups and access lists decide, too.
import { access, constants } from 'node:fs/promises';
import { execa } from 'execa';
import { requireExecuted } from './host-programs.js';
import { runAs } from './run-as.js';
import type { UserIds } from './users.js';

/** `make`: an entry in a folder. */
export interface WantedAccess {
  path: string;
  mode: 'read' | 'write' | 'overwrite' | 'make';
}

export type Access = 'allowed' | 'refused' | 'unknown';

const MODES = {
  read: constants.R_OK,
  write: constants.R_OK | constants.W_OK,
  overwrite: constants.W_OK,
  make: constants.W_OK | constants.X_OK,
};
const TESTS = { read: 'r', write: 'rw', overwrite: 'w', make: 'wx' };

/** For each pair of letters and path a word; a shell's own test asks the kernel, as access(2) does. */
const SCRIPT = `while [ $# -gt 0 ]; do
  answer=allowed
  case $1 in *r*) [ -r "$2" ] || answer=refused ;; esac
  case $1 in *w*) [ -w "$2" ] || answer=refused ;; esac
  case $1 in *x*) [ -x "$2" ] || answer=refused ;; esac
  echo $answer
  shift 2
done`;

/** @param ids undefined for this process's own user @returns in the order of what is wanted */
export async function accessAs(ids: UserIds | undefined, wanted: readonly WantedAccess[]): Promise<Access[]> {
  if (ids === undefined) return Promise.all(wanted.map(accessOurselves));
  const words = wanted.flatMap(({ path, mode }) => [TESTS[mode], path]);
  const [program, ...args] = runAs(ids, ['/bin/sh', '-c', SCRIPT, 'sh', ...words]);
  const result = await execa(program, args, { reject: false, stdin: 'ignore' });
  requireExecuted(program, result);
  const { failed, stdout } = result;
  // Where nobody can become that user, nobody knows.
  const answers = failed ? [] : stdout.split('\n');
  return wanted.map((_, index) => {
    const answer = answers[index];
    return answer === 'allowed' || answer === 'refused' ? answer : 'unknown';
  });
}

function accessOurselves({ path, mode }: WantedAccess): Promise<Access> {
  return access(path, MODES[mode]).then(
    () => 'allowed',
    () => 'refused',
  );
}
