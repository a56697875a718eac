// Users and groups of this host.
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
  const [uid, gid] = await Promise.all([
    readId('id', ['-u', '--', user], 0),
    group === undefined ? readId('id', ['-g', '--', user], 0) : resolveGroup(group),
  ]);
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  const missing = uid === undefined ? `user ${user}` : `group ${group}`;
  throw new VmsecretdError('definition_invalid', `VM ${vm}: there is no ${missing} on this host`, {
    details: { vm, user, ...(group === undefined ? {} : { group }) },
  });
}

/** @returns undefined for a group that does not exist */
export function resolveGroup(group: string): Promise<number | undefined> {
  return readId('getent', ['group', '--', group], 2);
}

/** By the system's own programs, so that every name service counts. */
async function readId(program: string, args: readonly string[], field: number): Promise<number | undefined> {
  const { failed, stdout } = await execa(program, args, { reject: false, stdin: 'ignore' });
  const id = Number(stdout.split(':')[field]);
  return failed || !Number.isInteger(id) ? undefined : id;
}
