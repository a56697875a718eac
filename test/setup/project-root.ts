// The repository's top folder, from where a compiled test is (dist/test/setup).

import { join } from 'node:path';

export const PROJECT_ROOT = join(import.meta.dirname, '../../..');

/** A program stand-in of test/fixtures/bin. */
export function standIn(name: string): string {
  return join(PROJECT_ROOT, 'test/fixtures/bin', name);
}
