// Connects to a UNIX socket in a folder of somebody else's, a VMM's user say, who may put a link in its place: this process
// may connect to everything, and would ask another VM's VMM to power off.
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';

/** Linux's O_PATH, which Node does not name: a socket itself can be opened no other way. */
const O_PATH = 0o10000000;

/** @throws Node.js system errors; ECONNREFUSED for what is no socket, a link included */
export async function connectDirectly(path: string): Promise<Socket> {
  const file = await open(path, O_PATH | constants.O_NOFOLLOW);
  try {
    const socket = connect(`/proc/self/fd/${file.fd}`);
    await once(socket, 'connect');
    return socket;
  } finally {
    // Not waited for: what happens to the socket meanwhile would be told to nobody.
    void file.close();
  }
}
