// Node as users run it. What tap hooks into each Node process that a test starts doubles the time that a daemon takes to
// be ready, and is in what a test would measure.
import { type ChildProcessByStdio, type SpawnOptions, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** In front of a command: `env` becomes the program, with the same pid. */
export const AS_USERS_DO = ['/usr/bin/env', '--unset=NODE_OPTIONS'] as const;

/** Its output is for the caller to read. */
export function spawnNode(
  args: readonly string[],
  options: Omit<SpawnOptions, 'stdio'> = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const [env, ...unset] = AS_USERS_DO;
  return spawn(env, [...unset, process.execPath, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
}
