// Whether the configuration is valid, and its identity files are there and closed to others.
import { access, constants, stat } from 'node:fs/promises';
import { type Config, loadConfig } from '../../config.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { type Finding, fine, warning, wrong } from './finding.js';

export async function readConfig(path: string): Promise<{ config: Config; findings: Finding[] }> {
  try {
    return { config: await loadConfig(path), findings: [fine('configuration', path)] };
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return { config: {}, findings: [wrong('configuration', error.message, `correct ${path}`)] };
  }
}

export function checkIdentities({ identities = [], passphraseFiles = [] }: Config): Promise<Finding[]> {
  return Promise.all([...identities, ...passphraseFiles].map(checkKeyFile));
}

async function checkKeyFile(path: string): Promise<Finding> {
  const check = 'identity';
  try {
    const { mode } = await stat(path);
    if ((mode & 0o007) !== 0) {
      const shown = (mode & 0o777).toString(8);
      return wrong(check, `${path} is open to everybody (mode ${shown})`, `chmod 600 ${path}`);
    }
    await access(path, constants.R_OK);
    return fine(check, path);
  } catch (error) {
    const code = systemErrorCode(error) ?? 'unknown error';
    return code === 'ENOENT'
      ? wrong(check, `${path} does not exist`, 'create it, or correct identities in config.json')
      : warning(
          check,
          `${path} cannot be read (${code})`,
          'run vmsecretctl doctor as the user of the daemon',
        );
  }
}
