// What can be asked of a VM. One implementation a supervisor.

import type { UnitLaunches } from './unit-launches.js';

export type LifecycleVerb = 'start' | 'stop' | 'restart' | 'reboot' | 'kill' | 'pause' | 'resume';

/** Each settles when it is done, or rejects with a VmsecretdError that says why not. */
export interface Lifecycle extends Record<LifecycleVerb, () => Promise<void>> {
  /** A start that no operator waits for: where it fails it is tried again, as the restart policy says. Without one, as start. */
  startUnasked?(): Promise<void>;
  /** The launcher's side of a start; undefined where no unit supervises the VM. */
  readonly launches: UnitLaunches | undefined;
  /** Finds the VMM of an earlier daemon again, if there is one. */
  adopt(): Promise<void>;
  /** The daemon stops: timers end, VMs go on. */
  close(): void;
}
