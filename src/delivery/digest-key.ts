// The key of the digests that tell a changed plain file; see source-digest.ts. Only deliverers read it: in the daemon's memory,
// beside the digests, it would give a short secret away to whoever has a core of it.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';

/** It lives as long as the runtime directory: digests tell a change within one boot, and nothing to a thief of disks. */
export async function loadDigestKey(path: string): Promise<Buffer> {
  await writeFile(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' }).catch(error => {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  });
  return Buffer.from(await readFile(path, 'utf8'), 'hex');
}
