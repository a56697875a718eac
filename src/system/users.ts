// Users and groups of this host.
import { readFile } from 'node:fs/promises';
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
  if (uid !== undefined && gid !== undefined) {
    if (uid !== process.getuid?.()) await requireSetuid(vm, user);
    return { uid, gid };
  }
  const missing = uid === undefined ? `user ${user}` : `group ${group}`;
  throw new VmsecretdError('definition_invalid', `VM ${vm}: there is no ${missing} on this host`, {
    details: { vm, user, ...(group === undefined ? {} : { group }) },
  });
}

/** Of capabilities(7): CAP_SETGID and CAP_SETUID. */
const SETUID_AND_SETGID = 0b1100_0000n;

/** A hardened unit takes them from root, too. @throws VmsecretdError definition_invalid */
async function requireSetuid(vm: string, user: string): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if ((effective & SETUID_AND_SETGID) === SETUID_AND_SETGID) return;
  throw new VmsecretdError(
    'definition_invalid',
    `VM ${vm}: vmsecretd may not run its VMM as user ${user}, because it has no CAP_SETUID; let a unit with User=${user} run the VM ("supervisor": "unit"), or leave "user" out`,
    { details: { vm, user } },
  );
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
