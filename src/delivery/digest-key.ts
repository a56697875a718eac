// The key of the digests that tell a changed secret; see source-digest.ts.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';

/** It lives as long as the runtime directory: digests tell a change within one boot, and nothing to a thief of disks. */
export async function loadDigestKey(path: string): Promise<string> {
  await writeFile(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' }).catch(error => {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  });
  return readFile(path, 'utf8');
}
