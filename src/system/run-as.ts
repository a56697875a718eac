// Runs a command as another user, without new privileges and without core dumps.
import { readFileSync } from 'node:fs';
import type { UserIds } from './users.js';

/**
 * By setpriv, since Node's own uid and gid options drop the supplementary groups (kvm!) and know no no-new-privs;
 * by prlimit, since a core dump of a VMM or a deliverer has secrets in it: a limit of 1 byte ends a dump even where
 * core_pattern pipes it to a program, which a limit of 0 does not. Where this process is confined so itself, as in a
 * unit with NoNewPrivileges= and LimitCORE=1, its children are by themselves, and a SystemCallFilter= may let nobody ask.
 * @param ids undefined for this process's own user
 */
export function runAs(
  ids: UserIds | undefined,
  command: readonly [string, ...string[]],
): [program: string, ...args: string[]] {
  if (ids === undefined && isConfined()) return [...command];
  const identity = ids === undefined ? [] : [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--init-groups'];
  return [
    'prlimit',
    '--core=1:1',
    '--',
    'setpriv',
    ...identity,
    '--no-new-privs',
    '--inh-caps=-all',
    '--',
    ...command,
  ];
}

function isConfined(): boolean {
  return (
    /^NoNewPrivs:\s+1$/m.test(readFileSync('/proc/self/status', 'utf8')) &&
    /^Max core file size\s+1\s+1\s/m.test(readFileSync('/proc/self/limits', 'utf8'))
  );
}
