// A temporary folder with a short path, for sockets: tap's own are named after the test, and a socket's path ends at 107 bytes.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

export function socketFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
