// The log: pino, one JSON record a line on standard output; with journald's priorities where that is the journal.
import { type Logger, pino } from 'pino';

export type { Logger };
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** syslog(3) priorities by pino's levels. */
const PRIORITIES: Readonly<Record<string, number>> = { 10: 7, 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** @param isJournal whether standard output is journald's, as JOURNAL_STREAM tells */
export function createLogger(level: LogLevel, isJournal: boolean): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    ...(isJournal ? { hooks: { streamWrite: withPriority } } : {}),
  });
}

/** sd-daemon(3): a line that begins with `<N>` has that priority. */
function withPriority(line: string): string {
  const level = /^\{"level":(\d+)/.exec(line)?.[1] ?? '30';
  return `<${PRIORITIES[level] ?? 6}>${line}`;
}
