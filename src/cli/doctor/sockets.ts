// Whether each socket, and the folder of all, is for those it is meant for.
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../../errors.js';
import { resolveGroup } from '../../system/users.js';
import { type Finding, fine, wrong } from './finding.js';

/** Bits that must be there, and bits that must not. */
const MODES = [
  { file: 'admin.sock', needed: 0o600, forbidden: 0o077 },
  { file: 'vmsecretd.sock', needed: 0o660, forbidden: 0o007 },
];
const WRITABLE_BY_OTHERS = 0o022;
const RESTART = 'systemctl restart vmsecretd';

/** @param operatorGroup of config.json */
export async function checkSockets(socketPath: string, operatorGroup?: string): Promise<Finding[]> {
  const folder = dirname(socketPath);
  const check = 'socket folder';
  try {
    const { uid, mode } = await stat(folder);
    const sockets = await Promise.all(
      MODES.map(expected => checkSocket(join(folder, expected.file), { ...expected, uid })),
    );
    const group =
      operatorGroup === undefined ? [] : [await checkGroup(join(folder, 'vmsecretd.sock'), operatorGroup)];
    if ((mode & WRITABLE_BY_OTHERS) === 0) return [...sockets, ...group];
    return [
      wrong(check, `others can exchange the sockets in ${folder}`, `chmod go-w ${folder}`),
      ...sockets,
      ...group,
    ];
  } catch (error) {
    return [wrong(check, `${folder} cannot be looked at (${systemErrorCode(error)})`, RESTART)];
  }
}

interface Expected {
  file: string;
  needed: number;
  forbidden: number;
  /** Owner of the folder: the daemon. */
  uid: number;
}

async function checkSocket(path: string, { file, needed, forbidden, uid }: Expected): Promise<Finding> {
  const check = `socket ${file}`;
  const expected = needed.toString(8);
  try {
    const found = await stat(path);
    const mode = found.mode & 0o777;
    if (found.uid !== uid)
      return wrong(check, `${path} belongs to user ${found.uid}, its folder to ${uid}`, RESTART);
    if ((mode & needed) === needed && (mode & forbidden) === 0) return fine(check, `mode ${expected}`);
    const shown = `${path} has mode ${mode.toString(8)}, not ${expected}`;
    return wrong(check, shown, `chmod ${expected} ${path}`);
  } catch (error) {
    const code = systemErrorCode(error) ?? 'unknown error';
    return wrong(check, `${path} cannot be looked at (${code})`, RESTART);
  }
}

/** A socket of systemd's has the group that its unit says, whatever config.json has. */
async function checkGroup(path: string, group: string): Promise<Finding> {
  const check = 'operator group';
  const gid = await resolveGroup(group);
  if (gid === undefined)
    return wrong(check, `there is no group ${group}`, `groupadd --system ${group}, or correct operatorGroup`);
  const found = await stat(path);
  if (found.gid === gid) return fine(check, group);
  return wrong(
    check,
    `${path} is group ${found.gid}'s, not ${group}'s`,
    `SocketGroup=${group} in a drop-in of vmsecretd.socket (systemctl edit vmsecretd.socket), then systemctl restart vmsecretd.socket`,
  );
}
