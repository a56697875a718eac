// The shape of a definition file. docs/definitions.md is generated from the descriptions here.
import { type Static, Type } from 'typebox';
import type { CredentialSource } from './credential-source.js';
import { DELIVERY_KINDS, HYPERVISOR_KINDS } from './hypervisor-kinds.js';
import { SOURCE_KINDS, SOURCES } from './sources/sources.js';

export const VM_NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$';

export const ORIGINS = ['file', 'api'] as const;
export const SUPERVISOR_KINDS = ['daemon', 'unit'] as const;

const Seconds = (description: string, fallback: number) =>
  Type.Integer({ minimum: 1, maximum: 86_400, default: fallback, description });

const CommandLine = Type.Union([Type.Array(Type.String()), Type.String()]);

/** Exactly one kind's keys; credential-source.ts checks that, since a schema's words for it help nobody. */
export const CredentialSchema = Type.Unsafe<CredentialSource>({
  type: 'object',
  properties: {
    ...Object.assign({}, ...SOURCE_KINDS.map(kind => SOURCES[kind].keys)),
    trim: {
      ...Type.Enum(['none', 'newline']),
      default: 'none',
      description: '`newline` takes exactly one trailing line ending off',
    },
    onDemand: {
      type: 'boolean',
      default: false,
      description: 'Not in SMBIOS: the guest asks for it when a unit needs it, up to 1 MiB',
    },
  },
  additionalProperties: false,
  description: 'Where a credential’s value comes from',
});

/** Of keys whose default is the same for every VM. */
export const DEFAULTS = {
  oemStrings: [] as string[],
  credentials: {} as Record<string, CredentialSource>,
  hypervisor: 'cloud-hypervisor' as const,
  preStart: [] as string[][],
  autostart: false,
  restart: 'on-failure' as const,
  ready: 'boot' as const,
  onChange: 'report' as const,
  startTimeoutSeconds: 90,
  stopTimeoutSeconds: 90,
};

export const DefinitionSchema = Type.Object(
  {
    command: Type.Optional(
      Type.Unsafe<string[] | string>({
        ...CommandLine,
        description:
          'The hypervisor’s complete command line: a list of arguments, or one string split as a POSIX shell would, expanding nothing',
      }),
    ),
    vmConfig: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description: 'cloud-hypervisor’s own VmConfig JSON, in place of `command`',
      }),
    ),
    workingDirectory: Type.Optional(
      Type.String({ minLength: 1, description: 'Where the VMM runs; RUNTIME/vms/NAME unless set' }),
    ),
    oemStrings: Type.Optional(
      Type.Array(Type.String(), { description: 'SMBIOS type 11 strings that are no secrets' }),
    ),
    credentials: Type.Optional(
      Type.Record(Type.String(), CredentialSchema, { description: 'Credential name → source' }),
    ),
    hypervisor: Type.Optional(
      Type.Enum(HYPERVISOR_KINDS, {
        default: DEFAULTS.hypervisor,
        description: 'The program that runs the VM',
      }),
    ),
    program: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'Path of this VM’s hypervisor program, in place of the configuration’s',
      }),
    ),
    delivery: Type.Optional(
      Type.Enum(DELIVERY_KINDS, {
        description:
          'How OEM strings reach the VMM: `api` for cloud-hypervisor, `fifo` for qemu; `cmdline` shows them to every user',
      }),
    ),
    supervisor: Type.Optional(
      Type.Enum(SUPERVISOR_KINDS, {
        description: 'Who runs the VMM; `unit` where systemd is PID 1 and the daemon is root, else `daemon`',
      }),
    ),
    unit: Type.Optional(Type.String({ description: 'The systemd unit; microvm@NAME.service unless set' })),
    user: Type.Optional(Type.String({ minLength: 1, description: 'User of a VMM that the daemon spawns' })),
    group: Type.Optional(Type.String({ minLength: 1, description: 'Group of a VMM that the daemon spawns' })),
    identities: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Identity files for this VM, in place of the configuration’s',
      }),
    ),
    preStart: Type.Optional(
      Type.Array(CommandLine, {
        description: 'Command lines run before the VMM, as its user, in its working directory',
      }),
    ),
    autostart: Type.Optional(
      Type.Boolean({
        default: DEFAULTS.autostart,
        description: 'Start it when the daemon starts; a unit is enabled instead',
      }),
    ),
    restart: Type.Optional(
      Type.Enum(['no', 'on-failure', 'always'], {
        default: DEFAULTS.restart,
        description: 'For supervisor `daemon`; a unit has its own Restart=',
      }),
    ),
    ready: Type.Optional(
      Type.Enum(['boot', 'notify', 'receipt'], {
        default: DEFAULTS.ready,
        description:
          'When the VM counts as ready: booted, the guest’s READY=1, or its receipt of the credentials',
      }),
    ),
    onChange: Type.Optional(
      Type.Enum(['report', 'restart', 'refresh'], {
        default: DEFAULTS.onChange,
        description: 'What to do when the definition or a secret changes while the VM runs',
      }),
    ),
    startTimeoutSeconds: Type.Optional(Seconds('How long a start may take', DEFAULTS.startTimeoutSeconds)),
    stopTimeoutSeconds: Type.Optional(
      Seconds('How long the guest has to power off', DEFAULTS.stopTimeoutSeconds),
    ),
  },
  { additionalProperties: false, title: 'Definition of a VM' },
);

export type DefinitionFile = Static<typeof DefinitionSchema>;
