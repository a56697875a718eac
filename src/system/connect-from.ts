// Connects to a UNIX socket from an address of one's own, which the service sees: systemd's way to say who asks for a
// credential. Node has no public way to do it; what is used of its inside is checked first, and a test runs it on each release.
import { randomBytes } from 'node:crypto';
import { createServer, Socket, type SocketConstructorOpts } from 'node:net';

/** Of Node's class for UNIX sockets, what is used here. Both give 0, or an error number below it. */
interface Pipe {
  readonly fd: number;
  bind(name: string): number;
  open(descriptor: number): number;
}

/** sun_path of the kernel, unix(7). */
const ADDRESS_BYTES = 108;
const LEAST_RANDOM_CHARACTERS = 16;

/**
 * The abstract address of LoadCredential= (systemd.exec(5)), all of it filled: Node 20 pads a shorter one with NUL bytes, which
 * belong to an abstract address. Null where unit and credential are too long for one.
 */
export function credentialAddress(unit: string, credential: string): string | null {
  const names = `/unit/${unit}/${credential}`;
  const randomCharacters = ADDRESS_BYTES - 1 - Buffer.byteLength(names);
  if (randomCharacters < LEAST_RANDOM_CHARACTERS) return null;
  return `\0${randomBytes(randomCharacters).toString('hex').slice(0, randomCharacters)}${names}`;
}

/** A socket that was not connected yet. @throws Error where this release of Node does not have what it takes */
export function createBoundSocket(address: string): Socket {
  const pipe = createPipe();
  // libuv takes the descriptor of a bound pipe for one that can be neither read nor written until it is opened again.
  if (pipe.bind(address) !== 0 || pipe.open(pipe.fd) !== 0) throw new Error('a socket cannot be bound');
  return new Socket({ handle: pipe, manualStart: true } as SocketConstructorOpts);
}

function createPipe(): Pipe {
  const server = createServer().listen(`\0vmsecretd-${randomBytes(16).toString('hex')}`);
  const listening = (server as unknown as { _handle?: { constructor: new (type: number) => Pipe } })._handle;
  server.close();
  const pipe = listening && new listening.constructor(0);
  if (typeof pipe?.bind !== 'function' || typeof pipe.open !== 'function')
    throw new Error(`Node ${process.version} cannot bind a socket that connects`);
  return pipe;
}
