// What a definition has done before its VMM starts, as the VMM's user.
import { resolve } from 'node:path';
import { execa } from 'execa';
import { VmsecretdError } from '../../errors.js';
import { findProgram } from '../../system/find-program.js';
import { readTail } from '../../system/read-tail.js';
import { runAs } from '../../system/run-as.js';
import { requireTrusted, UntrustedPathError } from '../../system/trusted-path.js';
import type { UserIds } from '../../system/users.js';
import { detachedWith, openLog } from './detached-child.js';

export interface PreStartOptions {
  vm: string;
  cwd: string;
  /** The daemon's own user unless given. */
  owner: UserIds | undefined;
  /** What programs are found by. */
  path: string;
  signal: AbortSignal;
  /** Of the VMM: what it prints stands there, too. */
  logPath: string;
}

/** How much of what it said is told. */
const LAST_WORDS_BYTES = 500;

/** Between SIGTERM and SIGKILL, where it takes too long. */
const GRACE_MS = 1_000;

/** @throws VmsecretdError supervisor_failed: it failed, or others than root could have written it */
export async function runPreStart(command: readonly string[], options: PreStartOptions): Promise<void> {
  const { vm, cwd, owner, path, signal, logPath } = options;
  const refuse = (how: string, cause?: unknown) =>
    new VmsecretdError('supervisor_failed', `VM ${vm}: preStart ${command[0]} ${how}`, {
      details: { vm, program: command[0] ?? '' },
      cause,
    });
  const [name = '', ...words] = command;
  // As the child would find it: beside it where it has a slash, else in PATH.
  const found = await findProgram(name.includes('/') ? resolve(cwd, name) : name, path);
  if (found === undefined) throw refuse('is not there or cannot be executed');
  try {
    // What root runs, even as another user, nobody else may have written.
    requireTrusted(found, 'root');
  } catch (error) {
    throw error instanceof UntrustedPathError ? refuse(`is refused: ${error.message}`, error) : error;
  }
  const [program, ...args] = runAs(owner, [found, ...words]);
  const log = await openLog(logPath);
  // What it leaves running may go on to write, and nobody waits for that.
  const child = execa(program, args, {
    ...detachedWith(log),
    cwd,
    env: { PATH: path },
    cancelSignal: signal,
    forceKillAfterDelay: GRACE_MS,
  });
  log.destroy();
  const result = await child;
  signal.throwIfAborted();
  if (!result.failed) return;
  const how =
    result.exitCode === undefined ? (result.signal ?? result.code) : `exit status ${result.exitCode}`;
  const said = await readTail(logPath, LAST_WORDS_BYTES);
  throw refuse(`failed (${how}): ${said}`);
}
