// The one interface of a hypervisor: plan a start from a definition (pure), bring the VM up, control it.
import type { Duplex } from 'node:stream';
import type { Static } from 'typebox';
import type { Definition, HypervisorKind } from '../definition/definition.js';
import type { JsonObject } from './exact-json.js';
import type { HostNeeds } from './host-needs.js';
import type {
  ChannelPlanSchema,
  ConsolePlanSchema,
  DestinationSchema,
  GuestChannelPlansSchema,
  PackingSchema,
  VmmApiSchema,
} from './schemas.js';

/**
 * Where things of one VM are at run time: in RUNTIME/vms/NAME, a folder of mode 0700 that is the VMM's user's. What the
 * daemon reads again, the logs, stands where only the daemon makes files: nobody can put a link there.
 */
export interface VmPaths {
  directory: string;
  /** In the folder above; of a unit in RUNTIME/api, where systemd makes it. */
  apiSocket: string;
  /** FIFOs that a VMM reads: the folder above; of a unit in RUNTIME/fifos, where root makes them. */
  fifos: string;
  consoleSocket: string;
  consoleLog: string;
  /** QEMU's ends of the guest's virtio-serial ports; of a unit, the sockets that the guest is to reach. */
  notifyPort: string;
  reportPort: string;
  credentialsPort: string;
  refreshPort: string;
  /** Of a unit: beside the API socket, by systemd, too, for a VMM that listens for its guest. */
  unitPorts: Readonly<Record<UnitPort, string>>;
  /** The command line that a unit's launcher was given. */
  launcherCommand: string;
  /** Made by the launcher once the guest has the network devices that it holds open. */
  netsAdded: string;
  vmmLog: string;
}

export type Packing = Static<typeof PackingSchema>;
export type Destination = Static<typeof DestinationSchema>;
export type VmmApi = Static<typeof VmmApiSchema> & {
  /** Connects otherwise than to that socket; never in a message between processes. */
  connect?: (socketPath: string) => Promise<Duplex>;
};
export type ChannelPlan = Static<typeof ChannelPlanSchema>;
export type GuestChannelPlans = Static<typeof GuestChannelPlansSchema>;
export type ConsolePlan = Static<typeof ConsolePlanSchema>;

/** A VM's command line, for people. */
export interface CommandView {
  /** What a person would type; the VMM's own program first. */
  command: readonly string[];
  /** Null for a hypervisor that has none. */
  vmConfig: JsonObject | null;
  /** What the VMM is really started with. */
  arguments: readonly string[];
}

/** What a start will do, without a secret in it. */
export interface VmPlan {
  hypervisor: HypervisorKind;
  vm: string;
  program: string;
  arguments: readonly string[];
  /** What is executed: the program with its arguments, or what becomes it. */
  spawned: readonly [string, ...string[]];
  /** Whether its VMM, once it runs, waits for its VM, so that it may be started before there are secrets. */
  waitsForVm: boolean;
  /** Named pipes that must be there before the VMM starts: one a credential for QEMU, one for a whole command line. */
  fifos: readonly string[];
  /** OEM strings of command line and definition, in order. */
  staticOemStrings: readonly string[];
  packing: Packing;
  apiSocket: string;
  /** Files that a unit's launcher makes once it has added the devices that it holds open: the guest boots after them. */
  bootsAfter: readonly string[];
  /** What the launcher leaves for programs that look at another place: absolute paths. */
  links: readonly { path: string; target: string }[];
  /** Undefined where the command line sends it elsewhere. */
  console: ConsolePlan | undefined;
  needs: HostNeeds;
  channels: GuestChannelPlans;
  /** @param placeholders stand for the OEM strings of the credentials, whose values nobody sees */
  view(placeholders: readonly string[]): CommandView;
}

/** Sockets of vmsecretd-api@.socket behind the API socket, in its order. */
export const UNIT_PORTS = ['receipt', 'credentials', 'refresh'] as const;
export type UnitPort = (typeof UNIT_PORTS)[number];

/** vsock ports of the host, as docs/receipt.md and docs/on-demand.md have them. */
export const GUEST_PORTS = { receipt: 8889, credentials: 8890, refresh: 8891 } as const;

export interface PlanContext {
  paths: VmPaths;
  /** Where the VMM runs: what paths on its command line are relative to. */
  workingDirectory: string;
  /** Replaces the definition's command: a launcher's own. */
  command?: readonly string[];
  /** For a unit the console stays what the command line says: the journal has it. */
  ownsConsole: boolean;
}

/** What the guest's devices have moved since it was booted, by device: disk0, net0, or other. */
export type DeviceCounters = Readonly<Record<string, Readonly<Partial<Record<DeviceCounter, number>>>>>;
export const DEVICE_COUNTERS = [
  'read_bytes',
  'write_bytes',
  'read_ops',
  'write_ops',
  'rx_bytes',
  'tx_bytes',
  'rx_frames',
  'tx_frames',
] as const;
export type DeviceCounter = (typeof DEVICE_COUNTERS)[number];

/** A running VMM's controls; each throws VmsecretdError vmm_refused or vmm_timeout. */
export interface VmmControl {
  /** Such as "53.0.0". */
  readonly version: string;
  /** @param timeoutMs how long the VMM may take to answer */
  powerButton(timeoutMs: number): Promise<void>;
  shutdown(): Promise<void>;
  /** @param timeoutMs how long the VMM may take: it makes its devices again, and waits for programs that serve them */
  reboot(timeoutMs: number): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Undefined for a hypervisor that has none. @param timeoutMs how long the VMM may take to answer */
  counters?(timeoutMs: number): Promise<DeviceCounters>;
}

export interface BringUp {
  plan: VmPlan;
  /** The credentials of this start. @param signal ends the wait for a VMM that does not take them */
  delivery: { deliver(destination: Destination, signal: AbortSignal): Promise<void> };
  timeoutMs: number;
  /** Of a VMM that has answered already. */
  answered?: VmmControl | undefined;
  /** Told once the VMM waits for its VM, where it does. */
  onListening(): void;
  /** Called once the VM exists and before it runs, so that the console misses nothing. */
  connectConsole(): Promise<void>;
  signal: AbortSignal;
}

/** What the launcher of a unit does before it is the VMM; docs/systemd.md has the format that it reads. */
export interface LaunchPlan {
  /** The VMM's absolute path; undefined where a command line of the launcher's own has to name it. */
  program: string | undefined;
  /** Of the definition's command line; a launcher's own takes their place. */
  arguments: readonly string[];
  /** Arguments after those of the command line. A descriptor of the socket unit's ends the ones that are no plain text. */
  added: readonly (string | { before: string; socket: 'api' | UnitPort })[];
  /** Made by root for the VMM to read. */
  fifos: readonly string[];
  /** A FIFO of root's at which the launcher waits until `admit`. */
  gate?: string;
  /** The ways on which the guest may report, whatever the command line. */
  channels: GuestChannelPlans;
}

/** Each step of a VMM that is the main process of a unit, in their order. */
export interface UnitLauncher {
  /** Stands for a command line that only the launcher knows, so that the rest can be checked. */
  readonly placeholder: readonly string[];
  /** @param plan undefined where the launcher brings the command line */
  plan(definition: Definition, paths: VmPaths, plan: VmPlan | undefined): Promise<LaunchPlan>;
  /** Waits until the command line is known. @returns the controls of a VMM that answers; undefined where the launcher waits */
  untilLaunched(
    vm: string,
    paths: VmPaths,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<VmmControl | undefined>;
  /** The command line is accepted: a launcher that waits becomes the VMM. */
  admit(paths: VmPaths, options: { signal: AbortSignal; timeoutMs: number }): Promise<void>;
}

export interface Hypervisor {
  readonly kind: HypervisorKind;
  /** @param program the definition's @returns the program's absolute path @throws VmsecretdError vmm_missing */
  locate(program: string | undefined): Promise<string>;
  /** Whether its API socket serves one connection at a time: an idle one keeps all others out. */
  readonly servesOneClient: boolean;
  readonly unit: UnitLauncher;
  /** @throws VmsecretdError command_invalid and what limits.ts throws */
  plan(definition: Definition, context: PlanContext): Promise<VmPlan>;
  /** From a VMM that was just spawned to a guest that runs with its credentials. */
  bringUp(options: BringUp): Promise<VmmControl>;
  /** Whether the VMM's guest was started, its credentials in it. */
  isBooted(vm: string, apiSocket: string): Promise<boolean>;
  /** Whether the guest of a running VMM is paused; undefined where the VMM does not say. */
  isPaused(vm: string, apiSocket: string, signal: AbortSignal): Promise<boolean | undefined>;
  /** Waits until the VMM of a socket answers. @param timeoutMs for each of its answers; 10 s unless given */
  connect(vm: string, apiSocket: string, signal: AbortSignal, timeoutMs?: number): Promise<VmmControl>;
}
