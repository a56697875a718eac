// A running hypervisor process, whoever started it.

export interface VmmExit {
  /** Null where it was ended by a signal, or is not known because the process was adopted. */
  status: number | null;
  signal: string | null;
  /** The end of its standard error. */
  lastWords: string;
}

export interface VmmProcess {
  readonly pid: number;
  /** With the pid it names this one process; see ProcessFacts. */
  readonly startTimeTicks: number;
  /** Settles once the process is gone; never rejects. */
  readonly exited: Promise<VmmExit>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export function describeExit({ status, signal, lastWords }: VmmExit): string {
  const how = signal !== null ? `was ended by ${signal}` : `exited with status ${status ?? 'unknown'}`;
  return lastWords === '' ? how : `${how}: ${lastWords}`;
}
