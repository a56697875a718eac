// What a user may do with files: tried as that user, since groups and access lists decide, too.
import { access, constants, open } from 'node:fs/promises';
import { execa } from 'execa';
import { requireExecuted } from './host-programs.js';
import { runAs } from './run-as.js';
import type { UserIds } from './users.js';

/** `make`: an entry in a folder; `open`: a device, whose cgroup may refuse what its mode allows. */
export interface WantedAccess {
  path: string;
  mode: 'read' | 'write' | 'overwrite' | 'make' | 'open';
}

export type Access = 'allowed' | 'refused' | 'unknown';

const MODES = {
  read: constants.R_OK,
  write: constants.R_OK | constants.W_OK,
  overwrite: constants.W_OK,
  make: constants.W_OK | constants.X_OK,
};
const TESTS = { read: 'r', write: 'rw', overwrite: 'w', make: 'wx', open: 'o' };

/** For each pair of letters and path a word; a shell's own test asks the kernel, as access(2) does. */
export const ACCESS_SCRIPT = `while [ $# -gt 0 ]; do
  answer=allowed
  case $1 in *r*) [ -r "$2" ] || answer=refused ;; esac
  case $1 in *w*) [ -w "$2" ] || answer=refused ;; esac
  case $1 in *x*) [ -x "$2" ] || answer=refused ;; esac
  case $1 in *o*) ( : <> "$2" ) 2> /dev/null || answer=refused ;; esac
  echo $answer
  shift 2
done`;

/** @param ids undefined for this process's own user @returns in the order of what is wanted */
export async function accessAs(ids: UserIds | undefined, wanted: readonly WantedAccess[]): Promise<Access[]> {
  if (ids === undefined) return Promise.all(wanted.map(accessOurselves));
  const [program, ...args] = runAs(ids, ['/bin/sh', '-c', ACCESS_SCRIPT, 'sh', ...accessWords(wanted)]);
  const result = await execa(program, args, { reject: false, stdin: 'ignore' });
  requireExecuted(program, result);
  // Where nobody can become that user, nobody knows.
  return readAccess(result.failed ? undefined : result.stdout, wanted);
}

/** Arguments of ACCESS_SCRIPT. */
export function accessWords(wanted: readonly WantedAccess[]): string[] {
  return wanted.flatMap(({ path, mode }) => [TESTS[mode], path]);
}

/** @param told what ACCESS_SCRIPT printed; undefined where it did not run */
export function readAccess(told: string | undefined, wanted: readonly WantedAccess[]): Access[] {
  const answers = told?.split('\n') ?? [];
  return wanted.map((_, index) => {
    const answer = answers[index];
    return answer === 'allowed' || answer === 'refused' ? answer : 'unknown';
  });
}

function accessOurselves({ path, mode }: WantedAccess): Promise<Access> {
  const tried = mode === 'open' ? open(path, 'r+').then(file => file.close()) : access(path, MODES[mode]);
  return tried.then(
    () => 'allowed',
    () => 'refused',
  );
}
