// A process that lies about itself, as imposter.pl beside it says.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PROJECT_ROOT } from './project-root.js';

const IMPOSTER = join(PROJECT_ROOT, 'test/setup/imposter.pl');

/** Lives until the test ends. @returns its pid, once it lies */
export async function spawnImposter(t: Test, lies: Readonly<Record<string, string>>): Promise<number> {
  const child = spawn('perl', [IMPOSTER], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, ...lies },
  });
  const ended = once(child, 'exit');
  t.teardown(() => {
    child.stdin.end();
    return ended;
  });
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}
