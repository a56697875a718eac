// What the routes take and give, for validation and openapi.json.
import { Type } from 'typebox';
import { VM_NAME_PATTERN } from '../definition/schema.js';
import { ERROR_CODES } from '../errors.js';
import { VmProblemSchema, VmSchema } from '../vm/view-schema.js';

export { VmSchema };

export const NameParams = Type.Object({ name: Type.String({ pattern: VM_NAME_PATTERN }) });

const WAITS = ['none', 'running', 'ready', 'stopped'] as const;
export type Wait = (typeof WAITS)[number];

export const LifecycleQuery = Type.Object(
  {
    wait: Type.Optional(Type.Enum(WAITS)),
    timeout: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description: 'Seconds to wait' })),
  },
  { additionalProperties: false },
);

export const StopQuery = Type.Object(
  {
    ...LifecycleQuery.properties,
    grace: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 86_400,
        description: 'Seconds that the guest has to power off, in place of stopTimeoutSeconds',
      }),
    ),
  },
  { additionalProperties: false },
);

export const FollowQuery = Type.Object(
  { follow: Type.Optional(Type.Boolean({ default: false })) },
  { additionalProperties: false },
);

export const ComparedQuery = Type.Object(
  {
    compared: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'First compare all VMs that run with what they were made of',
      }),
    ),
  },
  { additionalProperties: false },
);

export const EventsQuery = Type.Object({ vm: Type.Optional(Type.String()) }, { additionalProperties: false });

/** Of a call that takes none: one that is not known is not passed over. */
export const NoQuery = Type.Object({}, { additionalProperties: false });

export const ConvertBody = Type.Object(
  {
    command: Type.Union([Type.Array(Type.String()), Type.String()]),
    release: Type.Optional(
      Type.String({ description: "Of cloud-hypervisor, such as 52.0; the installed one's unless given" }),
    ),
  },
  { additionalProperties: false },
);

export const PrepareQuery = Type.Object(
  {
    invocation: Type.String({
      pattern: '^[0-9a-f]{32}$',
      description: 'INVOCATION_ID of the unit that starts',
    }),
    directory: Type.String({ pattern: '^/', maxLength: 4096, description: 'Its working directory' }),
  },
  { additionalProperties: false },
);

const DefinitionProblems = Type.Array(Type.Object({ path: Type.String(), message: Type.String() }));

export const VmListSchema = Type.Object(
  { vms: Type.Array(VmSchema), problems: DefinitionProblems },
  { title: 'VMs' },
);

export const ReloadSchema = Type.Object(
  { definitions: Type.Integer(), problems: DefinitionProblems },
  { title: 'Reload' },
);

/** RFC 9457, with a stable code; further keys are facts. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ pattern: '^urn:vmsecretd:error:' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.Enum(ERROR_CODES),
    detail: Type.String(),
  },
  { additionalProperties: true, title: 'Problem' },
);

/** As a client reads it. */
export const RefusalSchema = Type.Object(
  {
    code: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String()),
    console: Type.Optional(Type.Array(Type.String(), { description: 'The last lines of the guest' })),
  },
  { additionalProperties: true },
);

export const HealthSchema = Type.Object(
  {
    status: Type.Enum(['ok', 'degraded']),
    problems: Type.Array(VmProblemSchema),
  },
  { title: 'Health' },
);

export const VersionSchema = Type.Object(
  { version: Type.String(), node: Type.String() },
  { title: 'Version' },
);

const Paths = Type.Array(Type.String());

/** Where the daemon looks; `vmsecretctl doctor` looks there, too. */
export const PathsSchema = Type.Object(
  {
    config: Type.String(),
    runtimeDirectory: Type.String(),
    stateDirectory: Type.String(),
    definitionsDirectory: Type.String(),
    identities: Paths,
    passphraseFiles: Paths,
    programPath: Type.String({ description: 'Where it looks for programs: folders as in PATH' }),
  },
  { title: 'Paths' },
);

export const CheckReportSchema = Type.Object(
  {
    ok: Type.Boolean(),
    checks: Type.Array(
      Type.Object({
        name: Type.String(),
        ok: Type.Boolean(),
        code: Type.Union([Type.Enum(ERROR_CODES), Type.Null()]),
        detail: Type.String(),
      }),
    ),
  },
  { title: 'Check report' },
);

const VmConfig = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  description: 'As cloud-hypervisor takes it; its numbers may be beyond 2^53',
});

export const CommandSchema = Type.Object(
  {
    command: Type.Array(Type.String()),
    arguments: Type.Array(Type.String(), { description: 'What the VMM is really started with' }),
    vmConfig: Type.Union([VmConfig, Type.Null()]),
  },
  { title: 'Command' },
);

export const ConversionSchema = Type.Object(
  {
    release: Type.String(),
    arguments: Type.Array(Type.String()),
    vmConfig: VmConfig,
    needsFileDescriptors: Type.Array(Type.String()),
  },
  { title: 'Conversion' },
);
