// The one interface of a hypervisor: plan a start from a definition (pure), bring the VM up, control it.
import type { Definition, HypervisorKind } from '../definition/definition.js';
import type { Delivery } from '../delivery/deliverers.js';
import type { Packing } from '../delivery/protocol.js';
import type { HostNeeds } from './host-needs.js';

/** Where things of one VM are at run time: in RUNTIME/vms/NAME, a folder of mode 0700, but for the record. */
export interface VmPaths {
  directory: string;
  apiSocket: string;
  consoleSocket: string;
  consoleLog: string;
  vmmLog: string;
  record: string;
}

/** What a start will do, without a secret in it. */
export interface VmPlan {
  hypervisor: HypervisorKind;
  vm: string;
  program: string;
  arguments: readonly string[];
  /** Named pipes that must be there before the VMM starts: one a credential for QEMU, one for a whole command line. */
  fifos: readonly string[];
  /** OEM strings of command line and definition, in order. */
  staticOemStrings: readonly string[];
  packing: Packing;
  apiSocket: string;
  /** Where the command line itself wanted the API socket; other programs may look for it there. */
  apiSocketLink: string | undefined;
  console: ConsolePlan | undefined;
  needs: HostNeeds;
  /** The converted VM config, for people to look at; undefined for QEMU. */
  vmConfig: Readonly<Record<string, unknown>> | undefined;
}

/** How the daemon gets at a serial console; undefined where the command line sends it elsewhere. */
export type ConsolePlan =
  | { kind: 'socket'; path: string }
  /** Output is appended to a file; input goes to a socket, if at all. */
  | { kind: 'log'; path: string; inputSocket?: string };

export interface PlanContext {
  paths: VmPaths;
  /** Replaces the definition's command: a launcher's own. */
  command?: readonly string[];
  /** For a unit the console stays what the command line says: the journal has it. */
  ownsConsole: boolean;
}

/** A running VMM's controls; each throws VmsecretdError vmm_refused or vmm_timeout. */
export interface VmmControl {
  /** Such as "53.0.0". */
  readonly version: string;
  powerButton(): Promise<void>;
  shutdown(): Promise<void>;
  reboot(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  close(): void;
}

export interface BringUp {
  plan: VmPlan;
  delivery: Delivery;
  timeoutMs: number;
  /** Called once the VM exists and before it runs, so that the console misses nothing. */
  connectConsole(): Promise<void>;
  signal: AbortSignal;
}

export interface Hypervisor {
  readonly kind: HypervisorKind;
  /** @throws VmsecretdError command_invalid and what limits.ts throws */
  plan(definition: Definition, context: PlanContext): Promise<VmPlan>;
  /** From a VMM that was just spawned to a guest that runs with its credentials. */
  bringUp(options: BringUp): Promise<VmmControl>;
  /** Whether the VMM's guest was started, its credentials in it. */
  isBooted(apiSocket: string): Promise<boolean>;
  /** Takes a running VMM over. */
  connect(vm: string, apiSocket: string, signal: AbortSignal): Promise<VmmControl>;
}
