// Runs a command as another user, without new privileges and without core dumps.
import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';

export interface UserIds {
  uid: number;
  gid: number;
}

/** @returns undefined for no user: the daemon's own @throws VmsecretdError definition_invalid */
export async function resolveUser(
  vm: string,
  user: string | undefined,
  group: string | undefined,
): Promise<UserIds | undefined> {
  if (user === undefined) return undefined;
  const ids = await Promise.all([
    execa('id', ['-u', '--', user], { reject: false }),
    group === undefined
      ? execa('id', ['-g', '--', user], { reject: false })
      : execa('getent', ['group', '--', group], { reject: false }),
  ]);
  const [uid, gid] = [ids[0].stdout, ids[1].stdout.split(':')[group === undefined ? 0 : 2]].map(Number);
  if (!ids[0].failed && !ids[1].failed && uid !== undefined && gid !== undefined) return { uid, gid };
  const missing = ids[0].failed ? `user ${user}` : `group ${group}`;
  throw new VmsecretdError('definition_invalid', `VM ${vm}: there is no ${missing} on this host`, {
    details: { vm, user, ...(group === undefined ? {} : { group }) },
  });
}

/**
 * By setpriv, since Node's own uid and gid options drop the supplementary groups (kvm!) and know no no-new-privs;
 * by prlimit, since a core dump of a VMM has the guest's secrets in it.
 */
export function runAs(ids: UserIds | undefined, command: readonly string[]): [program: string, ...args: string[]] {
  const identity = ids === undefined ? [] : [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--init-groups'];
  return ['prlimit', '--core=0:0', '--', 'setpriv', ...identity, '--no-new-privs', '--inh-caps=-all', '--', ...command];
}
