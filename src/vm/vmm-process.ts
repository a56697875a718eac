// A running hypervisor process, whoever started it.

export interface VmmExit {
  /** Null where it was ended by a signal, or is not known because the process was adopted. */
  status: number | null;
  signal: string | null;
  /** The end of its standard error, for root alone: a VMM has its secrets, and may say them. */
  lastWords: string;
  /** Where there is more. */
  seeAlso?: string;
}

/** How a later daemon finds a VMM: a child by its pid and start time, a unit's main process by the run of the unit. */
export type VmmId = { pid: number; startTimeTicks: number } | { invocationId: string };

export interface VmmProcess {
  readonly id: VmmId;
  /** Null where systemd has not told it yet. */
  readonly pid: number | null;
  /** Of the unit whose main process it is; undefined for a child of the daemon. */
  readonly cgroup?: string | undefined;
  /** Settles once the process is gone; never rejects. */
  readonly exited: Promise<VmmExit>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** Without its last words. */
export function describeExit({ status, signal, seeAlso }: VmmExit): string {
  const how = signal !== null ? `was ended by ${signal}` : `exited with status ${status ?? 'unknown'}`;
  return seeAlso === undefined ? how : `${how}: ${seeAlso}`;
}
