// Users and groups of this host.
import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import { type HostProgram, requireExecuted } from './host-programs.js';

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
    readId('id', ['-u', '--', user], 0, ID_UNKNOWN),
    group === undefined ? readId('id', ['-g', '--', user], 0, ID_UNKNOWN) : resolveGroup(group),
  ]);
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  const missing = uid === undefined ? `user ${user}` : `group ${group}`;
  throw new VmsecretdError('definition_invalid', `VM ${vm}: there is no ${missing} on this host`, {
    details: { vm, user, ...(group === undefined ? {} : { group }) },
  });
}

/** @returns undefined for a group that does not exist @throws VmsecretdError supervisor_failed: getent did not work */
export function resolveGroup(group: string): Promise<number | undefined> {
  return readId('getent', ['group', '--', group], 2, GETENT_UNKNOWN);
}

/** Exit statuses for a name that no name service knows. */
const ID_UNKNOWN = 1;
const GETENT_UNKNOWN = 2;

/** By the system's own programs, so that every name service counts. */
async function readId(
  program: HostProgram,
  args: readonly string[],
  field: number,
  unknownStatus: number,
): Promise<number | undefined> {
  const result = await execa(program, args, { reject: false, stdin: 'ignore' });
  requireExecuted(program, result);
  if (result.exitCode === unknownStatus) return undefined;
  const id = Number(result.stdout.split(':')[field]);
  if (!result.failed && Number.isInteger(id)) return id;
  const why = result.stderr.trim() || `exit status ${result.exitCode ?? 'unknown'}`;
  throw new VmsecretdError('supervisor_failed', `${program} ${args.join(' ')}: ${why}`, {
    details: { program },
  });
}
