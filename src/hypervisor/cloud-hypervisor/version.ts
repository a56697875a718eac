// Which release a program is, by its own word.
import { stat } from 'node:fs/promises';
import { execa } from 'execa';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { findRelease, REFERENCE_RELEASE, type Release } from './release.js';

const releases = new Map<string, Release>();

/**
 * The release of the program at an absolute path, asked once for each file that is there.
 * One that names no version counts as the release that all was measured on.
 * @throws VmsecretdError vmm_missing
 */
export async function readRelease(program: string): Promise<Release> {
  const { mtimeMs, ino } = await stat(program).catch(error => {
    throw vmmMissing(program, systemErrorCode(error) ?? 'unknown error');
  });
  const key = `${program} ${ino} ${mtimeMs}`;
  const known = releases.get(key);
  if (known !== undefined) return known;
  const result = await execa(program, ['--version'], {
    reject: false,
    stdin: 'ignore',
    extendEnv: false,
    env: { PATH: process.env.PATH ?? '' },
    timeout: 10_000,
  });
  if (result.failed) throw vmmMissing(program, result.code ?? `exit status ${result.exitCode ?? 'unknown'}`);
  const release = findRelease(result.stdout) ?? REFERENCE_RELEASE;
  releases.set(key, release);
  return release;
}

function vmmMissing(program: string, why: string): VmsecretdError {
  return new VmsecretdError(
    'vmm_missing',
    `cloud-hypervisor cannot be run at ${program} (${why}); install it, or set hypervisors.cloud-hypervisor.path in config.json`,
    { details: { path: program } },
  );
}
