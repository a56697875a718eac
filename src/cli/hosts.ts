// -H: a daemon on another host, by a stream to its UNIX socket over ssh. No port is opened, and the host needs nothing but sshd.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, watch } from 'node:fs';
import { access, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { defaultFolders } from '../default-folders.js';
import { systemErrorCode } from '../errors.js';
import { CliError, EXIT } from './client.js';

/** Its socket is here as long as this process runs. */
export type RemoteSocket = { host: string; socketPath: string } | { host: string; error: CliError };

/** Before a command of the program runs, each -H becomes a socket of its option `remotes`. */
export function connectHosts(program: Command): void {
  // Without -H a command runs at once, as without a hook.
  program.hook('preAction', (_program, command) => {
    const { host: hosts = [], socket } = program.opts<{ host?: string[]; socket?: string }>();
    if (hosts.length === 0) return undefined;
    if (hosts.length > 1 && command.name() !== 'list')
      throw new CliError(`${command.name()} takes one -H; list takes several`, EXIT.usedWrongly);
    return forwardAll(hosts, socket).then(remotes => void program.setOptionValue('remotes', remotes));
  });
}

function forwardAll(hosts: readonly string[], socket: string | undefined): Promise<RemoteSocket[]> {
  const asked = [...new Set(hosts)].map(async (host): Promise<RemoteSocket> => {
    const forwarded = await forwardSocket(host, socket).catch(error => {
      // Of several hosts the others are shown.
      if (hosts.length > 1 && error instanceof CliError) return error;
      throw error;
    });
    return typeof forwarded === 'string' ? { host, socketPath: forwarded } : { host, error: forwarded };
  });
  return Promise.all(asked);
}

/** @param remotePath of the daemon's socket there @returns the path of a socket here @throws CliError where ssh does not get there */
async function forwardSocket(host: string, remotePath: string | undefined): Promise<string> {
  const remote = remotePath ?? (await defaultRemoteSocket(host));
  const folder = await mkdtemp(join(tmpdir(), 'vmsecretctl-'));
  const socketPath = join(folder, 'daemon.sock');
  // Another ssh that runs already would keep the stream for itself.
  const options = [
    '-o',
    'ExitOnForwardFailure=yes',
    '-o',
    'ControlPath=none',
    '-o',
    'ClearAllForwardings=no',
  ];
  const child = spawn('ssh', ['-N', '-T', '-x', ...options, '-L', `${socketPath}:${remote}`, '--', host], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  process.once('exit', () => {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const waiting = new AbortController();
  const ended = once(child, 'exit', { signal: waiting.signal }).then(
    ([status]) => status,
    error => systemErrorCode(error) ?? 'failed',
  );
  const status = await Promise.race([ended, untilThere(socketPath, folder, waiting.signal)]);
  waiting.abort();
  if (status !== undefined)
    throw new CliError(`cannot reach ${host} by ssh (${status}); ssh ${host} says why`, EXIT.notReached);
  // It ends with this program.
  child.unref();
  return socketPath;
}

/** ssh makes its end of the stream once it is logged in. */
async function untilThere(path: string, folder: string, signal: AbortSignal): Promise<undefined> {
  const watcher = watch(folder, { signal });
  watcher.on('error', () => {});
  const isThere = () =>
    access(path).then(
      () => true,
      () => false,
    );
  while (!signal.aborted && !(await isThere())) await once(watcher, 'change', { signal }).catch(() => {});
}

/** root's, where ssh logs in as root. */
async function defaultRemoteSocket(host: string): Promise<string> {
  const { stdout } = await promisify(execFile)('ssh', ['-G', '--', host]).catch(error => {
    const why = systemErrorCode(error) === 'ENOENT' ? 'install openssh-client' : `ssh does not take ${host}`;
    throw new CliError(`-H: ${why}`, EXIT.usedWrongly);
  });
  const file = /^user root$/m.test(stdout) ? 'admin.sock' : 'vmsecretd.sock';
  return join(defaultFolders({}, true).runtimeDirectory, file);
}
