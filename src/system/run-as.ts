// Runs a command as another user, without new privileges and without core dumps.
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

/** Tried as that user, since groups and access lists decide, too. */
export async function canUserOpen(ids: UserIds, path: string): Promise<boolean> {
  const [program, ...args] = runAs(ids, ['test', '-r', path, '-a', '-w', path]);
  const { failed } = await execa(program, args, { reject: false, stdin: 'ignore' });
  return !failed;
}
