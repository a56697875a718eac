// Whether the definition files are valid, as the daemon would read them.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readDefinitionFile } from '../../definition/definitions.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { type Finding, fine, warning, wrong } from './finding.js';

export async function checkDefinitions(folder: string): Promise<Finding[]> {
  const entries = await readdir(folder).catch(error => systemErrorCode(error) ?? 'unknown error');
  if (entries === 'ENOENT') return [fine('definitions', `${folder} does not exist: none are files`)];
  if (typeof entries === 'string')
    return [
      warning('definitions', `${folder} cannot be read (${entries})`, 'run vmsecretctl doctor as root'),
    ];
  const files = entries.filter(entry => entry.endsWith('.json'));
  const findings = await Promise.all(files.map(file => checkFile(join(folder, file))));
  return [fine('definitions', `${files.length} files in ${folder}`), ...findings.flat()];
}

async function checkFile(path: string): Promise<Finding[]> {
  try {
    await readDefinitionFile(path, { origin: 'file', defaultSupervisor: 'daemon', trust: 'root' });
    return [];
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return [wrong('definition', error.message, `correct ${path}, then vmsecretctl reload`)];
  }
}
