// The sockets systemd opened for this process (sd_listen_fds(3)): name to descriptor.
// Takes the variables out of the environment, so that no child mistakes them for its own.

import { VmsecretdError } from '../errors.js';

/** The first passed descriptor, SD_LISTEN_FDS_START. */
const FIRST_FD = 3;

/** Empty when nothing was passed to this very pid. Refuses two sockets of one FileDescriptorName. */
export function activatedSockets(environment: NodeJS.ProcessEnv, pid: number): Map<string, number> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  delete environment.LISTEN_PID;
  delete environment.LISTEN_FDS;
  delete environment.LISTEN_FDNAMES;

  const sockets = new Map<string, number>();
  if (LISTEN_PID !== String(pid)) return sockets;
  const count = Number(LISTEN_FDS);
  const names = LISTEN_FDNAMES === undefined ? [] : LISTEN_FDNAMES.split(':');
  if (!Number.isInteger(count) || count < 0 || names.length !== count) {
    throw new VmsecretdError(
      'resource_conflict',
      `The sockets passed at start do not add up: LISTEN_FDS=${LISTEN_FDS} with LISTEN_FDNAMES=${LISTEN_FDNAMES}. ` +
        'Pass one name for each socket, as the units of systemd/ do with FileDescriptorName=.',
    );
  }
  for (const [index, name] of names.entries()) {
    if (sockets.has(name)) {
      throw new VmsecretdError(
        'resource_conflict',
        `Two sockets are called "${name}". Give each socket unit one ListenStream= and a FileDescriptorName= of its own.`,
        { details: { socket: name } },
      );
    }
    sockets.set(name, FIRST_FD + index);
  }
  return sockets;
}
