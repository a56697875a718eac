// config.json: what an administrator sets for the whole host.
import { type Static, Type } from 'typebox';
import { findAbsolutePathProblem, findPathProblem } from './definition/declared-path.js';
import { HYPERVISOR_KINDS, type HypervisorKind } from './definition/hypervisor-kinds.js';
import { systemErrorCode, VmsecretdError } from './errors.js';
import { readJsonFile } from './json-file.js';
import { createJsonValidator, type FieldProblem, formatFieldProblems } from './json-validator.js';
import { LOG_LEVELS } from './log.js';
import { BrokenLinkError } from './system/trusted-path.js';

const Hypervisor = Type.Optional(
  Type.Object(
    { path: Type.String({ minLength: 1, description: 'Path of the program' }) },
    { additionalProperties: false },
  ),
);

export const ConfigSchema = Type.Object(
  {
    identities: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Identity files; the SSH host keys and $CREDENTIALS_DIRECTORY/identity* unless set',
      }),
    ),
    passphraseFiles: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Files with one passphrase each, for age files and SSH keys that have one',
      }),
    ),
    hypervisors: Type.Optional(
      Type.Object(
        Object.fromEntries(HYPERVISOR_KINDS.map(kind => [kind, Hypervisor])) as Record<
          HypervisorKind,
          typeof Hypervisor
        >,
        { additionalProperties: false },
      ),
    ),
    user: Type.Optional(
      Type.String({ description: 'User of VMMs that the daemon spawns; its own unless set' }),
    ),
    group: Type.Optional(Type.String({ description: 'Group of VMMs that the daemon spawns' })),
    operatorGroup: Type.Optional(Type.String({ description: 'Group that may use vmsecretd.sock' })),
    log: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(
            Type.Union(
              LOG_LEVELS.map(level => Type.Literal(level)),
              { default: 'info', description: 'The least severe messages that are logged' },
            ),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    metrics: Type.Optional(
      Type.Object(
        {
          listen: Type.Optional(
            Type.String({ description: 'Loopback address:port or socket path; off unless set' }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    startConcurrency: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: 'Starts at once; twice the CPUs unless set' }),
    ),
  },
  { additionalProperties: false, title: 'Configuration' },
);

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
