// Runs a command as another user, without new privileges and without core dumps.
import { readFileSync } from 'node:fs';
import { execa } from 'execa';
import type { UserIds } from './users.js';

/**
 * By setpriv, since Node's own uid and gid options drop the supplementary groups (kvm!) and know no no-new-privs;
 * by prlimit, since a core dump of a VMM or a deliverer has secrets in it.
 */
export function runAs(
  ids: UserIds | undefined,
  command: readonly string[],
): [program: string, ...args: string[]] {
  const identity = ids === undefined ? [] : [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--init-groups'];
  return [
    'prlimit',
    '--core=0:0',
    '--',
    'setpriv',
    ...identity,
    '--no-new-privs',
    '--inh-caps=-all',
    '--',
    ...command,
  ];
}

/**
 * As `runAs`, for this process's own user. In a unit with NoNewPrivileges= and LimitCORE=0 both pass on by themselves, and its
 * SystemCallFilter= lets nobody ask for them.
 */
export function runConfined(command: readonly [string, ...string[]]): [program: string, ...args: string[]] {
  return isConfined() ? [...command] : runAs(undefined, command);
}

function isConfined(): boolean {
  return (
    /^NoNewPrivs:\s+1$/m.test(readFileSync('/proc/self/status', 'utf8')) &&
    /^Max core file size\s+0\s+0\s/m.test(readFileSync('/proc/self/limits', 'utf8'))
  );
}

/** Tried as that user, since groups and access lists decide, too. */
export async function canUserOpen(ids: UserIds, path: string): Promise<boolean> {
  const [program, ...args] = runAs(ids, ['test', '-r', path, '-a', '-w', path]);
  const { failed } = await execa(program, args, { reject: false, stdin: 'ignore' });
  return !failed;
}
