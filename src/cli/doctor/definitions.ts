// Whether the definition files are valid, as the daemon would read them.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { readDefinitionFile } from '../../definition/definitions.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { type Finding, fine, warning, wrong } from './finding.js';

export interface Examined {
  /** Those that are valid. */
  definitions: Definition[];
  findings: Finding[];
}

export async function checkDefinitions(folder: string): Promise<Examined> {
  const entries = await readdir(folder).catch(error => systemErrorCode(error) ?? 'unknown error');
  const check = 'definitions';
  if (entries === 'ENOENT')
    return {
      definitions: [],
      findings: [fine(check, `${folder} does not exist: there are no definition files`)],
    };
  if (typeof entries === 'string') {
    const detail = `${folder} cannot be read (${entries})`;
    return { definitions: [], findings: [warning(check, detail, 'run vmsecretctl doctor as root')] };
  }
  const files = entries.filter(entry => entry.endsWith('.json'));
  const examined = await Promise.all(files.map(file => checkFile(join(folder, file))));
  return {
    definitions: examined.flatMap(({ definitions }) => definitions),
    findings: [
      fine(check, `${files.length} ${files.length === 1 ? 'file' : 'files'} in ${folder}`),
      ...examined.flatMap(({ findings }) => findings),
    ],
  };
}

async function checkFile(path: string): Promise<Examined> {
  try {
    const options = { origin: 'file', defaultSupervisor: 'daemon', trust: 'root' } as const;
    return { definitions: [await readDefinitionFile(path, options)], findings: [] };
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    const finding = wrong('definition', error.message, 'correct that, then vmsecretctl reload');
    return { definitions: [], findings: [finding] };
  }
}
