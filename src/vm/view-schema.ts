// A VM as the API shows it: names, sources and sizes, never values.
import { Type } from 'typebox';
import { DELIVERY_KINDS, HYPERVISOR_KINDS } from '../definition/hypervisor-kinds.js';
import { ORIGINS, SUPERVISOR_KINDS } from '../definition/schema.js';
import { SOURCE_KINDS } from '../definition/sources/sources.js';
import { ERROR_CODES } from '../errors.js';
import { VM_STATES } from './state.js';
import { STOP_STEPS } from './stop-vm.js';

const Nullable = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);
const Time = Type.String({ description: 'RFC 3339' });
const ErrorCode = Type.Enum(ERROR_CODES);

export const VmProblemSchema = Type.Object({ at: Time, code: ErrorCode, detail: Type.String() });

export const VmSchema = Type.Object(
  {
    name: Type.String(),
    state: Type.Enum(VM_STATES),
    ready: Type.Boolean(),
    guestStatus: Nullable(Type.String({ description: 'As the guest says' })),
    outdated: Type.Array(Type.String(), { description: 'What changed since the VM was started' }),
    exposed: Type.Boolean({ description: 'Its secrets are on its command line' }),
    supervisor: Type.Enum(SUPERVISOR_KINDS),
    unit: Nullable(Type.String()),
    hypervisor: Type.Enum(HYPERVISOR_KINDS),
    hypervisorVersion: Nullable(Type.String()),
    delivery: Type.Enum(DELIVERY_KINDS),
    receipt: Nullable(
      Type.Union([
        Type.Enum(['pending', 'verified']),
        Type.String({ pattern: '^failed: ', description: 'With what is wrong' }),
      ]),
    ),
    refresh: Nullable(
      Type.Object({
        at: Time,
        credentials: Type.Array(Type.String()),
        problem: Nullable(Type.Object({ code: ErrorCode, detail: Type.String() })),
      }),
    ),
    pid: Nullable(Type.Integer()),
    startedAt: Nullable(Time),
    restarts: Type.Integer({ description: 'Starts that nobody asked for' }),
    nextAttemptAt: Nullable(Time),
    stopStep: Nullable(
      Type.Object({
        step: Type.Enum(STOP_STEPS),
        at: Time,
        timeoutSeconds: Nullable(Type.Integer({ description: 'null for the last' })),
      }),
    ),
    lastExit: Nullable(
      Type.Object({
        at: Time,
        status: Nullable(Type.Integer()),
        signal: Nullable(Type.String()),
        guestStatus: Nullable(Type.Integer({ description: 'What the guest ended with, where it says so' })),
      }),
    ),
    problem: Nullable(VmProblemSchema),
    origin: Type.Enum(ORIGINS),
    credentials: Type.Array(
      Type.Object({
        name: Type.String(),
        source: Type.Enum(SOURCE_KINDS),
        path: Nullable(Type.String()),
        from: Nullable(Type.String({ description: 'Where the value comes from, on one line' })),
        sizeBytes: Nullable(Type.Integer()),
      }),
    ),
  },
  { title: 'VM' },
);
