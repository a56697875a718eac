// What can be asked of a VM. One implementation a supervisor.

export type LifecycleVerb = 'start' | 'stop' | 'restart' | 'reboot' | 'kill' | 'pause' | 'resume';

/** Each settles when it is done, or rejects with a VmsecretdError that says why not. */
export interface Lifecycle extends Record<LifecycleVerb, () => Promise<void>> {
  /** The daemon stops: timers end, VMs go on. */
  close(): void;
}
