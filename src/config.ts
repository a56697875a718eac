// config.json: what an administrator sets for the whole host.
import type { Static } from 'typebox';
import { ConfigSchema } from './config-schema.js';
import { findAbsolutePathProblem, findPathProblem } from './definition/declared-path.js';
import { systemErrorCode, VmsecretdError } from './errors.js';
import { readJsonFile } from './json-file.js';
import { createJsonValidator, type FieldProblem, formatFieldProblems } from './json-validator.js';
import { BrokenLinkError } from './system/trusted-path.js';

export type Config = Static<typeof ConfigSchema>;

const findFieldProblems = createJsonValidator(ConfigSchema);

/** What is said of a file that is not there, which is no fault. */
export const NO_CONFIG = 'does not exist: every key has its default';

/** Reads config.json; without one everything has its default. @throws VmsecretdError definition_invalid */
export async function loadConfig(path: string): Promise<Config> {
  const refuse = (what: string) =>
    new VmsecretdError('definition_invalid', `${path} ${what}`, { details: { path } });
  const json = await readJsonFile(path, 'root').catch(error => {
    // A link that leads nowhere was meant to lead to a configuration.
    if (systemErrorCode(error.cause) === 'ENOENT' && !(error.cause instanceof BrokenLinkError)) return {};
    throw refuse(error.message);
  });
  const problems = findFieldProblems(json);
  const unmet = problems.length > 0 ? problems : findPathProblems(json as Config);
  if (unmet.length > 0) throw refuse(`is not a valid configuration: ${formatFieldProblems(unmet)}`);
  return json as Config;
}

/** There is no folder that they could be relative to; a program may be a name, to be looked for. */
function findPathProblems({
  identities = [],
  passphraseFiles = [],
  hypervisors = {},
}: Config): FieldProblem[] {
  const named = (field: string, paths: readonly string[]) =>
    paths.map((path, index) => ({ field: `${field}.${index}`, message: findAbsolutePathProblem(path) }));
  const programs = Object.entries(hypervisors).map(([kind, program]) => {
    const path = program?.path ?? '';
    const message = path.includes('/') ? findAbsolutePathProblem(path) : findPathProblem(path);
    return { field: `hypervisors.${kind}.path`, message };
  });
  return [
    ...named('identities', identities),
    ...named('passphraseFiles', passphraseFiles),
    ...programs,
  ].flatMap(({ field, message }) => (message === undefined ? [] : [{ field, message }]));
}
