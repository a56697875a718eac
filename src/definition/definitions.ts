// All definitions: the files of the definitions folder and those kept by PUT in the state folder.
// An invalid file keeps its last good version and is reported; it never takes the others down.
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { readJsonFile } from '../json-file.js';
import type { PatientLooks } from '../system/patient-looks.js';
import { explainStorageError } from '../system/storage-error.js';
import type { Trust } from '../system/trusted-path.js';
import type { Definition, SupervisorKind } from './definition.js';
import { parseDefinition } from './parse-definition.js';

export interface DefinitionProblem {
  path: string;
  message: string;
}

export interface DefinitionsOptions {
  /** Written by root or by Nix, read here. */
  definitionsDirectory: string;
  /** STATE/vms: what PUT keeps, mode 0600. */
  keptDirectory: string;
  defaultSupervisor: SupervisorKind;
  looks: PatientLooks;
}

interface Found {
  definition: Definition | undefined;
  problem: DefinitionProblem | undefined;
}

export class Definitions {
  readonly #options: DefinitionsOptions;
  #byName = new Map<string, Definition>();
  #problems: DefinitionProblem[] = [];

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  get(name: string): Definition | undefined {
    return this.#byName.get(name);
  }

  list(): Definition[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What was wrong with files at the last load. */
  get problems(): readonly DefinitionProblem[] {
    return this.#problems;
  }

  /** Reads everything again. A file in the definitions folder wins over one kept by PUT; both are reported then. */
  async load(): Promise<void> {
    const { definitionsDirectory, keptDirectory } = this.#options;
    const byName = new Map<string, Definition>();
    const problems: DefinitionProblem[] = [];
    const kept = await this.#readFolder(keptDirectory, 'api', problems);
    const files = await this.#readFolder(definitionsDirectory, 'file', problems);
    for (const [name, found] of [...kept, ...files]) {
      if (found.problem !== undefined) problems.push(found.problem);
      const lastGood = this.#byName.get(name);
      const definition = found.definition ?? (lastGood?.path === found.problem?.path ? lastGood : undefined);
      if (definition === undefined) continue;
      const shadowed = byName.get(name);
      if (shadowed !== undefined) {
        problems.push({
          path: shadowed.path,
          message: `VM ${name}: ${definition.path} wins over ${shadowed.path}`,
        });
      }
      byName.set(name, definition);
    }
    this.#byName = byName;
    this.#problems = problems;
  }

  /** Keeps a definition from JSON. @throws VmsecretdError definition_invalid, definition_from_file, resource_conflict */
  async put(name: string, json: unknown): Promise<Definition> {
    this.#refuseFileOwned(name);
    const path = join(this.#options.keptDirectory, `${name}.json`);
    const definition = parseDefinition(json, {
      name,
      origin: 'api',
      path,
      directory: undefined,
      defaultSupervisor: this.#options.defaultSupervisor,
    });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, `${JSON.stringify(json, null, 2)}\n`, { mode: 0o600 }).catch(error => {
      throw explainStorageError(error, path);
    });
    await rename(`${path}.new`, path);
    this.#byName.set(name, definition);
    return definition;
  }

  /** Drops a kept definition. @throws VmsecretdError definition_from_file */
  async delete(name: string): Promise<void> {
    this.#refuseFileOwned(name);
    await rm(join(this.#options.keptDirectory, `${name}.json`), { force: true });
    this.#byName.delete(name);
  }

  /** The JSON as declared. @throws VmsecretdError definition_invalid: the file has changed since, or is gone */
  async readJson({ name: vm, path }: Definition): Promise<unknown> {
    if (!(await this.#options.looks.reach(path))) throw silentFile(vm, path);
    try {
      return await readJsonFile(path, 'root');
    } catch {
      throw new VmsecretdError(
        'definition_invalid',
        `VM ${vm}: ${path} is gone or no JSON any more; reload`,
        {
          details: { vm, path },
        },
      );
    }
  }

  #refuseFileOwned(name: string): void {
    const existing = this.#byName.get(name);
    if (existing?.origin !== 'file') return;
    throw new VmsecretdError(
      'definition_from_file',
      `VM ${name} is defined by ${existing.path}: change that file and reload`,
      { details: { vm: name, path: existing.path } },
    );
  }

  async #readFolder(
    directory: string,
    origin: 'file' | 'api',
    problems: DefinitionProblem[],
  ): Promise<[string, Found][]> {
    if (!(await this.#options.looks.reach(directory))) {
      problems.push({ path: directory, message: `${directory} ${SILENT}` });
      return this.list()
        .filter(({ path }) => dirname(path) === directory)
        .map(definition => [definition.name, { definition, problem: undefined }]);
    }
    const entries = await readdir(directory).catch(error => {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    });
    const files = entries.filter(entry => entry.endsWith('.json')).sort();
    return Promise.all(
      files.map(async (file): Promise<[string, Found]> => {
        const path = join(directory, file);
        return [basename(file, '.json'), await this.#readOne(path, origin)];
      }),
    );
  }

  async #readOne(path: string, origin: 'file' | 'api'): Promise<Found> {
    try {
      const { defaultSupervisor, looks } = this.#options;
      const definition = await readDefinitionFile(path, { origin, defaultSupervisor, trust: 'root', looks });
      return { definition, problem: undefined };
    } catch (error) {
      if (!(error instanceof VmsecretdError)) throw error;
      return { definition: undefined, problem: { path, message: error.message } };
    }
  }
}

const SILENT =
  'does not answer: the file system that it is on hangs; look after its server, or unmount it (umount --lazy), then reload';

function silentFile(vm: string, path: string): VmsecretdError {
  return new VmsecretdError('definition_invalid', `VM ${vm}: ${path} ${SILENT}`, { details: { vm, path } });
}

export interface ReadDefinitionOptions {
  origin: 'file' | 'api';
  defaultSupervisor: SupervisorKind;
  /** What root asks of the file; see Trust. */
  trust: Trust;
  /** Where what hangs is not to hold this process. */
  looks?: PatientLooks;
}

/** Reads one definition file. @throws VmsecretdError definition_invalid, naming the file and the fields */
export async function readDefinitionFile(
  path: string,
  { origin, defaultSupervisor, trust, looks }: ReadDefinitionOptions,
): Promise<Definition> {
  const name = basename(path, '.json');
  if (looks !== undefined && !(await looks.reach(path))) throw silentFile(name, path);
  const json = await readJsonFile(path, trust).catch(error => {
    throw new VmsecretdError('definition_invalid', `VM ${name}: ${path} ${error.message}`, {
      details: { vm: name, path },
      cause: error,
    });
  });
  return parseDefinition(json, { name, origin, path, directory: dirname(path), defaultSupervisor });
}
