// Where tests keep what takes long to build: outside the project, shared by all worktrees and runs.

import { join } from 'node:path';

export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return (
    environment.VMSECRETD_TEST_CACHE ?? join(environment.XDG_CACHE_HOME ?? '/var/cache', 'vmsecretd-test')
  );
}
