import { stat } from 'node:fs/promises';
import { execa } from 'execa';
import { systemErrorCode, VmsecretdError } from '../../errors.js';

const versions = new Map<string, number>();

/**
 * The major version of the program at an absolute path, asked once for each file that is there.
 * Unreadable versions count as 53, the last one with the small limits.
 * @throws VmsecretdError vmm_missing
 */
export async function readMajorVersion(program: string): Promise<number> {
  const { mtimeMs, ino } = await stat(program).catch(error => {
    throw vmmMissing(program, systemErrorCode(error) ?? 'unknown error');
  });
  const key = `${program} ${ino} ${mtimeMs}`;
  const known = versions.get(key);
  if (known !== undefined) return known;
  const result = await execa(program, ['--version'], {
    reject: false,
    stdin: 'ignore',
    extendEnv: false,
    env: { PATH: process.env.PATH ?? '' },
    timeout: 10_000,
  });
  if (result.failed) throw vmmMissing(program, result.code ?? `exit status ${result.exitCode ?? 'unknown'}`);
  const version = Number(/v(\d+)\./.exec(result.stdout)?.[1] ?? 53);
  versions.set(key, version);
  return version;
}

function vmmMissing(program: string, why: string): VmsecretdError {
  return new VmsecretdError(
    'vmm_missing',
    `cloud-hypervisor cannot be run at ${program} (${why}); install it, or set hypervisors.cloud-hypervisor.path in config.json`,
    { details: { path: program } },
  );
}
