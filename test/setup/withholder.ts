// Processes that withhold their command lines, as test/setup/withholder.pl makes them.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { whyNotOnPath } from './programs.js';
import { PROJECT_ROOT } from './project-root.js';

const WITHHOLDER = join(PROJECT_ROOT, 'test/setup/withholder.pl');

export function whyNoWithholder(): string | false {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/fuse cannot be opened here';
  }
  const { status } = spawnSync('unshare', ['--user', '--mount', 'true'], { stdio: 'ignore' });
  return status === 0 ? whyNotOnPath('perl') : 'no user namespace can be made here';
}

export interface Withholders {
  pids: number[];
  /** Not later than need be: others read the command lines of all processes. */
  end(): Promise<void>;
}

/** @param log as a VMM's of ours has it */
export async function spawnWithholders(t: Test, count: number, log?: string): Promise<Withholders> {
  const child = spawn('perl', [WITHHOLDER], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      FOLDER: t.testdir(),
      COUNT: String(count),
      ...(log === undefined ? {} : { LOG: log }),
    },
  });
  const ended = once(child, 'exit');
  const end = async () => {
    child.stdin.end();
    await ended;
  };
  t.teardown(end);
  const [line] = await once(child.stdout, 'data');
  return { pids: String(line).trim().split(' ').map(Number), end };
}
