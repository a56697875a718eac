// What is wrong with a path that people write into a definition or config.json, before anything is looked for.
//
// INVARIANT: no message quotes the path. Whoever writes a key or a passphrase where its file belongs reads of it in no log.
import { isAbsolute } from 'node:path';

/** What stands in files of keys, and in no path. */
const KEY_MATERIAL = /AGE-SECRET-KEY-|AGE-PLUGIN-|PRIVATE KEY|b3BlbnNzaC1rZXktdjE|PuTTY-User-Key|\n|\r|\0/i;

/** @returns a clause, or undefined for one that may be meant: "must be …" */
export function findPathProblem(path: string): string | undefined {
  if (KEY_MATERIAL.test(path))
    return 'must be the path of a file, not a key or what else a file holds; put that into a file of mode 0600 and name the file (what it says now is not shown)';
  if (/^~/.test(path)) return 'must be an absolute path: "~" is not expanded';
  if (/^\$/.test(path)) return 'must be an absolute path: variables are not expanded';
  if (/^[a-z][a-z0-9+.-]*:\//i.test(path)) return 'must be an absolute path, not a URL';
  return undefined;
}

/** As `findPathProblem`, where there is no folder that a path could be relative to. */
export function findAbsolutePathProblem(path: string): string | undefined {
  const problem = findPathProblem(path);
  if (problem !== undefined || isAbsolute(path)) return problem;
  return 'must be an absolute path (what it says now is not shown: it may be a secret)';
}
