// Takes the JSON of a definition, gives a Definition with defaults filled in and paths absolute.
// Refuses with definition_invalid, naming the file and every field that is wrong.
import { resolve } from 'node:path';
import { nameVm, VmsecretdError } from '../errors.js';
import {
  createJsonValidator,
  type FieldProblem,
  formatFieldProblems,
  TOLD_PROBLEMS,
} from '../json-validator.js';
import { checkCredentialName } from './credential-name.js';
import { findSourceContradiction, findSourceProblems, mapPaths, pathsOf } from './credential-source.js';
import { findAbsolutePathProblem, findPathProblem } from './declared-path.js';
import {
  type CredentialSource,
  completeDefinition,
  type DeclaredVm,
  type Definition,
  type DefinitionPlace,
  type SupervisorKind,
} from './definition.js';
import { HYPERVISORS } from './hypervisor-kinds.js';
import { checkOemStrings, credentialNames, NONCE_CREDENTIAL } from './oem-strings.js';
import { hasCredentialChannel } from './on-demand.js';
import { DEFAULTS, type DefinitionFile, DefinitionSchema, VM_NAME_PATTERN } from './schema.js';
import { splitCommand } from './split-command.js';
import { findVmConfigProblems, withoutNulls } from './vm-config-problems.js';

/** Its path is the file it was read from, or will be kept in. */
export interface DefinitionContext extends DefinitionPlace {
  /** What relative paths are relative to; undefined refuses them (a PUT has no folder). */
  directory: string | undefined;
  /** The supervisor where the definition names none. */
  defaultSupervisor: SupervisorKind;
}

const findFieldProblems = createJsonValidator(DefinitionSchema);

/** Of a path in an answer's details; a credential's name has 255 at most. */
const FIELD_LENGTH = 300;

/** systemd.unit(5): a service name, with an instance or without. */
const UNIT_PATTERN = /^[A-Za-z0-9:_.\\@-]{1,247}\.service$/;

function isVmName(name: string): boolean {
  return new RegExp(VM_NAME_PATTERN).test(name);
}

/** @throws VmsecretdError definition_invalid, and what checkOemStrings throws */
export function parseDefinition(json: unknown, context: DefinitionContext): Definition {
  const problems = isVmName(context.name)
    ? findShapeProblems(json)
    : [
        {
          field: '',
          message: `has no valid VM name "${context.name}": 1-64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit`,
        },
      ];
  if (problems.length > 0) refuse(context, problems);
  const declared = json as DefinitionFile;
  const file: DefinitionFile =
    declared.vmConfig === undefined ? declared : { ...declared, vmConfig: withoutNulls(declared.vmConfig) };
  const unmet = [
    ...findContradictions(file),
    ...Object.entries(file.credentials ?? {}).flatMap(([name, source]) => {
      const message = findSourceContradiction(source);
      return message === undefined ? [] : [{ field: `credentials.${name}`, message }];
    }),
    ...findVmConfigProblems(file.vmConfig ?? {}).map(({ field, message }) => ({
      field: `vmConfig.${field}`,
      message,
    })),
    ...findPathProblems(file, context),
  ];
  if (unmet.length > 0) refuse(context, unmet);
  try {
    const { defaultSupervisor } = context;
    const definition = completeDefinition(declaredOf(file, context.directory), context, defaultSupervisor);
    checkOemStrings(context.name, ownOemStrings(definition), credentialNames(definition));
    for (const name of Object.keys(definition.credentials)) checkCredentialName(context.name, name);
    return definition;
  } catch (error) {
    throw nameVm(error, context.name, context.path);
  }
}

/** A definition that was valid for the version that recorded it: no rule of now refuses it. */
export function restoreDefinition(file: DefinitionFile, place: DefinitionPlace): Definition {
  // The supervisor is recorded; this is none's.
  return completeDefinition(declaredOf(file), place, 'daemon');
}

function findShapeProblems(json: unknown): FieldProblem[] {
  const ofSources = findSourceProblems(json);
  const isTold = (field: string) =>
    ofSources.some(told => field === told.field || field.startsWith(`${told.field}.`));
  return [...findFieldProblems(json).filter(({ field }) => !isTold(field)), ...ofSources];
}

function refuse(context: DefinitionContext, problems: readonly FieldProblem[]): never {
  const fields = problems.slice(0, TOLD_PROBLEMS).map(({ field }) => field.slice(0, FIELD_LENGTH));
  throw new VmsecretdError(
    'definition_invalid',
    `VM ${context.name}: ${context.path} is not a valid definition: ${formatFieldProblems(problems)}`,
    { details: { vm: context.name, path: context.path, fields } },
  );
}

/** Keys that are each valid and do not go together. */
function findContradictions(file: DefinitionFile): FieldProblem[] {
  const hypervisor = file.hypervisor ?? DEFAULTS.hypervisor;
  const { deliveries, takesVmConfig } = HYPERVISORS[hypervisor];
  const rules: [unmet: boolean, field: string, message: string][] = [
    [
      file.command !== undefined && file.vmConfig !== undefined,
      'vmConfig',
      'does not go together with command',
    ],
    [
      file.delivery !== undefined && !deliveries.includes(file.delivery),
      'delivery',
      `must be ${deliveries.map(kind => `"${kind}"`).join(' or ')} for hypervisor "${hypervisor}"`,
    ],
    [file.delivery === 'cmdline' && file.vmConfig !== undefined, 'delivery', '"cmdline" needs a command'],
    [
      file.supervisor === 'unit' && file.delivery === 'cmdline',
      'supervisor',
      'must be "daemon" for delivery "cmdline"',
    ],
    [
      !takesVmConfig && file.vmConfig !== undefined,
      'vmConfig',
      `does not go together with hypervisor "${hypervisor}"`,
    ],
    [
      file.supervisor === 'daemon' && file.command === undefined && file.vmConfig === undefined,
      'command',
      'is missing: a VM needs command or vmConfig (only a unit’s launcher brings its own)',
    ],
    [
      file.ready !== 'receipt' &&
        file.credentials?.[NONCE_CREDENTIAL] !== undefined &&
        hasCredentialChannel({ ...DEFAULTS, ...file }),
      `credentials.${NONCE_CREDENTIAL}`,
      'has the name of the nonce that proves what the guest received; rename it',
    ],
    [
      file.unit !== undefined && !UNIT_PATTERN.test(file.unit),
      'unit',
      'must be the name of a service, such as microvm@web.service',
    ],
  ];
  return rules.filter(([unmet]) => unmet).map(([, field, message]) => ({ field, message }));
}

function findPathProblems(file: DefinitionFile, { directory }: DefinitionContext): FieldProblem[] {
  const find = directory === undefined ? findAbsolutePathProblem : findPathProblem;
  const paths: [field: string, path: string | undefined][] = [
    ['workingDirectory', file.workingDirectory],
    ['program', file.program],
    ...(file.identities ?? []).map((path, index): [string, string] => [`identities.${index}`, path]),
    ...Object.entries(file.credentials ?? {}).flatMap(([name, source]) =>
      pathsOf(source).map(({ key, path }): [string, string] => [`credentials.${name}.${key}`, path]),
    ),
  ];
  return paths.flatMap(([field, path]) => {
    const message = path === undefined ? undefined : find(path);
    return message === undefined ? [] : [{ field, message }];
  });
}

function ownOemStrings({ vmConfig, oemStrings }: Definition): string[] {
  const platform = vmConfig?.platform as { oem_strings?: string[] } | undefined;
  return [...(platform?.oem_strings ?? []), ...oemStrings];
}

/** @param directory of relative paths, where there may be any */
function declaredOf(file: DefinitionFile, directory = '/'): DeclaredVm {
  const absolute = (path: string) => resolve(directory, path);
  const words = (command: string | string[]) =>
    typeof command === 'string' ? splitCommand(command) : command;
  const { command, preStart, workingDirectory, credentials, program, identities, ...others } = file;
  return {
    ...others,
    ...(command === undefined ? {} : { command: words(command) }),
    ...(preStart === undefined ? {} : { preStart: preStart.map(words) }),
    ...(workingDirectory === undefined ? {} : { workingDirectory: absolute(workingDirectory) }),
    ...(credentials === undefined ? {} : { credentials: mapSources(credentials, absolute) }),
    ...(program === undefined ? {} : { program: absolute(program) }),
    ...(identities === undefined ? {} : { identities: identities.map(absolute) }),
  };
}

function mapSources(
  credentials: Record<string, CredentialSource>,
  change: (path: string) => string,
): Record<string, CredentialSource> {
  return Object.fromEntries(
    Object.entries(credentials).map(([name, source]) => [name, mapPaths(source, change)]),
  );
}
