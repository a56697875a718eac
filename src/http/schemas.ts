// What the routes take and give, for validation and openapi.json.
import { Type } from 'typebox';
import { VM_NAME_PATTERN } from '../definition/schema.js';
import { VM_STATES } from '../vm/state.js';

const Nullable = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);
const AnyObject = Type.Object({}, { additionalProperties: true });

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

export const VmSchema = Type.Object(
  {
    name: Type.String(),
    state: Type.Enum(VM_STATES),
    ready: Type.Boolean(),
    guestStatus: Nullable(Type.String()),
    outdated: Type.Array(Type.String()),
    exposed: Type.Boolean(),
    supervisor: Type.String(),
    unit: Nullable(Type.String()),
    hypervisor: Type.String(),
    hypervisorVersion: Nullable(Type.String()),
    delivery: Type.String(),
    receipt: Nullable(Type.String()),
    refresh: Nullable(AnyObject),
    pid: Nullable(Type.Integer()),
    startedAt: Nullable(Type.String()),
    restarts: Type.Integer(),
    nextAttemptAt: Nullable(Type.String()),
    stopStep: Nullable(AnyObject),
    lastExit: Nullable(AnyObject),
    problem: Nullable(AnyObject),
    origin: Type.String(),
    credentials: Type.Array(AnyObject),
  },
  { title: 'VM' },
);

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

export const VmListSchema = Type.Object({ vms: Type.Array(VmSchema), problems: DefinitionProblems });

export const ReloadSchema = Type.Object({ definitions: Type.Integer(), problems: DefinitionProblems });

/** RFC 9457, with a stable code; further keys are facts. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ pattern: '^urn:vmsecretd:error:' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
  },
  { additionalProperties: true, title: 'Problem' },
);
