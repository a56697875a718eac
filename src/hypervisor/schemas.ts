// What of a plan goes to another process or outlives this one: in messages to the deliverer, and in records.
import { Type } from 'typebox';

const Strings = Type.Array(Type.String());
const TimeoutMs = Type.Number();

/** Something that two VMs must not have at once. */
export const HostClaimSchema = Type.Object({
  /** On a socket the VMM itself listens: cloud-hypervisor does not start where a file stands there. */
  kind: Type.Enum(['vsock CID', 'vsock socket', 'serial socket', 'tap', 'MAC address', 'disk image', 'port']),
  /** A port as `tcp ADDRESS:PORT`; a path is relative to the VMM's working directory until it is resolved. */
  value: Type.String(),
  /** The network namespace that a tap or MAC address is in; absent for the host's and for other kinds. */
  namespace: Type.Optional(Type.String()),
  /** Others may have it too, as long as everybody shares: a disk image that is only read. */
  shared: Type.Boolean(),
});

/** A vsock port as the UNIX socket that the VMM connects to, or a virtio-serial port's UNIX socket. */
export const ChannelPlanSchema = Type.Object({
  kind: Type.Enum(['vsock', 'port']),
  path: Type.String(),
});

/** The ways on which the guest may report (docs/receipt.md), ask for a credential, and is told of new ones (docs/on-demand.md). */
export const GuestChannelPlansSchema = Type.Object({
  notify: Type.Optional(ChannelPlanSchema),
  receipt: Type.Optional(ChannelPlanSchema),
  credentials: Type.Optional(ChannelPlanSchema),
  refresh: Type.Optional(ChannelPlanSchema),
});

/** How the daemon gets at a serial console. */
export const ConsolePlanSchema = Type.Union([
  Type.Object({
    kind: Type.Literal('socket'),
    path: Type.String(),
    /** What its client has no room for the VMM keeps for the next; true where it is absent. */
    keepsOutput: Type.Optional(Type.Boolean()),
  }),
  /** Output is appended to a file; input goes to a socket, if at all. */
  Type.Object({
    kind: Type.Literal('log'),
    path: Type.String(),
    inputSocket: Type.Optional(Type.String()),
  }),
]);

/** Where a VMM listens, and how long an answer may take. */
export const VmmApiSchema = Type.Object({
  vm: Type.String(),
  socketPath: Type.String(),
  timeoutMs: TimeoutMs,
});

/** What the OEM strings are packed into, checked against its limit before a VMM exists. */
export const PackingSchema = Type.Union([
  Type.Object({ kind: Type.Literal('api'), vmConfigText: Type.String(), limitBytes: Type.Integer() }),
  Type.Object({ kind: Type.Literal('fifo'), limitBytes: Type.Integer() }),
  /** The VMM's program and its release and complete arguments, its static OEM strings among them but for the definition's. */
  Type.Object({
    kind: Type.Literal('cmdline'),
    program: Type.String(),
    argv: Strings,
    oemStrings: Strings,
    release: Type.Optional(Type.Integer()),
  }),
]);

/** Where the packed OEM strings go. */
export const DestinationSchema = Type.Union([
  Type.Object({ kind: Type.Literal('api'), socketPath: Type.String(), timeoutMs: TimeoutMs }),
  Type.Object({ kind: Type.Literal('fifo'), paths: Strings, timeoutMs: TimeoutMs }),
]);
