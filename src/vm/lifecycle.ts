// What can be asked of a VM. One implementation a supervisor.

export type LifecycleVerb = 'start' | 'stop' | 'restart' | 'reboot' | 'kill' | 'pause' | 'resume';

/** Each settles when it is done, or rejects with a VmsecretdError that says why not. */
export interface Lifecycle extends Record<LifecycleVerb, () => Promise<void>> {
  /** A start that no operator waits for: where it fails it is tried again, as the restart policy says. Without one, as start. */
  startUnasked?(): Promise<void>;
  /** Answers a unit's launcher: what it is to execute, as lines of text. */
  launch(pid: number): Promise<string>;
  /** Finds the VMM of an earlier daemon again, if there is one. */
  adopt(): Promise<void>;
  /** The daemon stops: timers end, VMs go on. */
  close(): void;
}
