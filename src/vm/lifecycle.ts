// What can be asked of a VM. One implementation a supervisor.

export type LifecycleVerb = 'start' | 'stop' | 'restart' | 'reboot' | 'kill' | 'pause' | 'resume';

/** What the `ExecStartPre=` of a unit says of the run that begins. */
export interface LaunchRequest {
  invocationId: string;
  /** Of the unit. */
  workingDirectory: string;
}

/** What the launcher of a unit asks for. */
export interface Launches {
  /** A start is likely to be asked for: its secrets are opened ahead of that. */
  expect(): void;
  /** Opens every secret. @returns what the launcher is to execute @throws VmsecretdError why the VM cannot start */
  prepare(request: LaunchRequest): Promise<string>;
  /** Settles once the guest of the launch in progress is booted. @throws VmsecretdError why it was not */
  untilBooted(): Promise<void>;
}

/** Each settles when it is done, or rejects with a VmsecretdError that says why not. */
export interface Lifecycle extends Record<LifecycleVerb, () => Promise<void>> {
  /** @param graceSeconds how long the guest has to power off, in place of stopTimeoutSeconds; counts for a stop underway, too */
  stop(graceSeconds?: number): Promise<void>;
  /** A start that no operator waits for: where it fails it is tried again, as the restart policy says. Without one, as start. */
  startUnasked?(): Promise<void>;
  /** The launcher's side of a start; undefined where no unit supervises the VM. */
  readonly launches: Launches | undefined;
  /** Finds the VMM of an earlier daemon again, if there is one. */
  adopt(): Promise<void>;
  /** The daemon stops: timers end, VMs go on. */
  close(): void;
}
