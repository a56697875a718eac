// Listens on UNIX sockets whose mode and group are right before anybody can connect, or takes activated ones.
import type { Stats } from 'node:fs';
import { chmod, chown, lstat, rename, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { requireTrusted, UntrustedPathError } from './trusted-path.js';

/** sun_path is 108 bytes with its NUL (unix(7)). */
const MAXIMUM_PATH_BYTES = 107;

export interface ListenOptions {
  path: string;
  mode: number;
  /** Numeric group that may connect; the daemon's own unless given. */
  gid?: number | undefined;
  /** A socket that systemd already listens on. */
  activatedFd?: number | undefined;
}

/**
 * @returns what removes the socket file again; an activated one is systemd's and stays
 * @throws VmsecretdError resource_conflict: another daemon listens there, or the path is too long
 */
export async function listenOn(server: Server, options: ListenOptions): Promise<() => Promise<void>> {
  const { path, mode, gid, activatedFd } = options;
  if (activatedFd !== undefined) {
    await listening(server, () => server.listen({ fd: activatedFd }));
    return async () => {};
  }
  checkSocketPath(path);
  // Made under another name, in a folder that only we write, and renamed once mode and group are right.
  const unfinished = `${path}.new`;
  requireOwnPlace(path);
  for (const place of [path, unfinished]) await refuseFolder(place);
  if (await isAlive(path)) {
    throw new VmsecretdError(
      'resource_conflict',
      `Another daemon listens on ${path}; stop it, or use another runtime directory`,
      {
        details: { path },
      },
    );
  }
  await rm(unfinished, { force: true });
  await listening(server, () => server.listen(unfinished));
  if (gid !== undefined) await chown(unfinished, -1, gid);
  await chmod(unfinished, mode);
  await rename(unfinished, path);
  const { ino } = await stat(path);
  return async () => {
    const now = await stat(path).catch(() => undefined);
    if (now?.ino === ino) await rm(path, { force: true });
  };
}

/** @throws VmsecretdError resource_conflict */
function checkSocketPath(path: string): void {
  const sizeBytes = Buffer.byteLength(path);
  if (sizeBytes <= MAXIMUM_PATH_BYTES) return;
  throw new VmsecretdError(
    'resource_conflict',
    `The socket path ${path} has ${sizeBytes} bytes, and the kernel takes ${MAXIMUM_PATH_BYTES}; use a shorter runtime directory`,
    { details: { path, sizeBytes, limitBytes: MAXIMUM_PATH_BYTES } },
  );
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    listen();
  });
}

/** Names that others could exchange would have us give their files a group and a mode. @throws VmsecretdError resource_conflict */
function requireOwnPlace(path: string): void {
  try {
    requireTrusted(dirname(path), 'root');
  } catch (error) {
    if (!(error instanceof UntrustedPathError)) throw error;
    throw new VmsecretdError(
      'resource_conflict',
      `${path} is refused as the path of a socket: ${error.message}`,
      {
        details: { path },
        cause: error,
      },
    );
  }
}

/** Anything else is replaced. @throws VmsecretdError resource_conflict */
async function refuseFolder(path: string): Promise<void> {
  if ((await lookAt(path))?.isDirectory() !== true) return;
  throw new VmsecretdError(
    'resource_conflict',
    `${path} is a folder, and a socket of vmsecretd belongs there; remove it`,
    { details: { path } },
  );
}

function lookAt(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}

/** Whoever listens elsewhere, where a link leads, is none of ours. */
async function isAlive(path: string): Promise<boolean> {
  if ((await lookAt(path))?.isSocket() !== true) return false;
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', error => {
      const code = systemErrorCode(error);
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(false);
      else reject(error);
    });
  });
}
