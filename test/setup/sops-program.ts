// The real sops that sops-program.sh put into the cache.
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './cache-directory.js';
import { mayAccess } from './programs.js';

const SOPS = join(cacheDirectory(), 'sops-3.11.0/sops');

export function whyNoSops(): string | false {
  return mayAccess(SOPS, constants.X_OK) ? false : `there is no ${SOPS}: bash test/setup/sops-program.sh`;
}

/** @param format such as `yaml` @returns the file */
export function encryptWithSops(plain: string | Buffer, format: string, recipient: string): Buffer {
  const types = [`--input-type=${format}`, `--output-type=${format === 'binary' ? 'json' : format}`];
  const args = ['--config', '/dev/null', 'encrypt', '--age', recipient, '--filename-override', 'x', ...types];
  return execFileSync(SOPS, args, { input: plain, env: {}, stdio: ['pipe', 'pipe', 'ignore'] });
}
