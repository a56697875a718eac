// What a record has: all that a later daemon must know of a VMM to take its VM over. Never a secret.
//
// A change that an earlier version does not read, or of what it wrote, makes another VERSION: then this schema stays, under the
// name of its version, with what turns one into the next in record.ts and a record of it in test/vm/records.
import { Type } from 'typebox';
import { DefinitionSchema, ORIGINS } from '../definition/schema.js';
import { PreparedCredentialSchema } from '../delivery/schemas.js';
import { ConsolePlanSchema, GuestChannelPlansSchema, HostClaimSchema } from '../hypervisor/schemas.js';

const Nullable = <Schema extends ReturnType<typeof Type.String> | typeof ConsolePlanSchema>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);

const ChildId = { pid: Type.Integer(), startTimeTicks: Type.Integer() };
const UnitRunId = { invocationId: Type.String() };

const common = {
  apiSocket: Type.String(),
  console: Nullable(ConsolePlanSchema),
  channels: GuestChannelPlansSchema,
  /** RFC 3339; null until the guest was booted. */
  startedAt: Nullable(Type.String()),
  isPaused: Type.Boolean(),
  ready: Type.Boolean(),
  receipt: Nullable(Type.String()),
  /** With their digests: what an adopted VM is compared with. */
  credentials: Type.Array(PreparedCredentialSchema),
  /** What it was given at boot, where it was given others since; and the run of its kernel that got those. */
  refreshed: Type.Optional(
    Type.Object({
      atBoot: Type.Array(PreparedCredentialSchema),
      guestBoot: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  /** What it has of the host, so that no other VM takes it. */
  claims: Type.Array(HostClaimSchema),
  definitionDigest: Type.String(),
  /** Of the VMM. */
  workingDirectory: Type.String(),
};

export const RecordSchema = Type.Object({
  version: Type.Literal(1),
  /** How the VMM is found: a child of the daemon that wrote it, or the main process of a unit. */
  vmm: Type.Union([Type.Object(ChildId), Type.Object(UnitRunId)]),
  ...common,
  /** As it was when this was written: a VMM may outlive its definition. */
  definition: Type.Object({
    name: Type.String(),
    origin: Type.Enum(ORIGINS),
    path: Type.String(),
    declared: DefinitionSchema,
  }),
});

/** What vmsecretd 0.1.0 wrote, which had no version. */
const unversioned = {
  phase: Type.Enum(['starting', 'running']),
  ...common,
  definition: Type.Object({
    name: Type.String(),
    origin: Type.Enum(ORIGINS),
    path: Type.String(),
    ...DefinitionSchema.properties,
  }),
};
export const UnversionedRecordSchema = Type.Union([
  Type.Object({ ...ChildId, ...unversioned }),
  Type.Object({ ...UnitRunId, ...unversioned }),
]);
