import { execa } from 'execa';

/** syslog(3). */
export type JournalPriority = 'error' | 'info';
const PRIORITIES: Record<JournalPriority, number> = { error: 3, info: 6 };

/**
 * Writes a line into the journal of a unit that is not ours, so that `journalctl -u UNIT` tells it.
 * journald takes OBJECT_SYSTEMD_UNIT= for a unit's own from root alone.
 */
export async function writeUnitJournal(
  unit: string,
  message: string,
  priority: JournalPriority,
): Promise<void> {
  const line = message.replaceAll(/[^\x20-\x7e]+/g, ' ');
  // util-linux's logger sends a native record, which no other program of a base system does.
  await execa('logger', ['--journald'], {
    input: `MESSAGE=${line}\nPRIORITY=${PRIORITIES[priority]}\nSYSLOG_IDENTIFIER=vmsecretd\nOBJECT_SYSTEMD_UNIT=${unit}\n`,
    stdout: 'ignore',
    stderr: 'ignore',
    reject: false,
    timeout: 10_000,
  });
}
