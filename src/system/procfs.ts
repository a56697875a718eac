// Facts about a process, read from /proc. Gives null for a process that is gone, was replaced while it was read,
// or is a zombie; throws only for what /proc itself refuses.

import { readFile } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';
import type { Usage } from './cgroup.js';

export interface ProcessFacts {
  pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names one process until the host reboots. */
  startTimeTicks: number;
  /** Null when real, effective and saved uid differ: such a process speaks for nobody. */
  uid: number | null;
}

/** The process as it is now, or null when there is none. */
export async function readProcess(pid: number): Promise<ProcessFacts | null> {
  try {
    const startTimeTicks = await readStartTime(pid);
    if (startTimeTicks === null) return null;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    // The files are read one after another: a pid that was given away in between must not mix two processes.
    if ((await readStartTime(pid)) !== startTimeTicks) return null;
    return { pid, startTimeTicks, uid: parseUid(status) };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** The same for no two processes of a host's uptime. */
export function processKey({ pid, startTimeTicks }: Pick<ProcessFacts, 'pid' | 'startTimeTicks'>): string {
  return `${pid} ${startTimeTicks}`;
}

/** Whether the process that had this pid and start time still runs; a zombie does not. */
export async function isSameProcess(pid: number, startTimeTicks: number): Promise<boolean> {
  return (await readStartTime(pid)) === startTimeTicks;
}

/** Field 22 of a stat line, or null for a zombie. The name in parentheses may itself hold blanks and parentheses. */
export function parseStartTime(stat: string): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTimeTicks = Number(fields[19]);
  return state === 'Z' || state === 'X' || !Number.isSafeInteger(startTimeTicks) ? null : startTimeTicks;
}

/** x86_64 has both, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** What a process uses; nothing once it is gone, or where /proc hides it. */
export async function readProcessUsage(pid: number, startTimeTicks: number): Promise<Usage> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  if (parseStartTime(stat) !== startTimeTicks) return {};
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    cpuUserSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    cpuSystemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
    memoryBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

async function readStartTime(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(ignoreGone);
  return stat === undefined ? null : parseStartTime(stat);
}

/** The kernel escapes `\n` alone in the name of a process, and a line begins after nothing else, such as `\r`. */
export function parseUid(status: string): number | null {
  const line = status.split('\n').find(text => text.startsWith('Uid:'));
  const [, real, effective, saved] = /^\w+:\t(\d+)\t(\d+)\t(\d+)\t/.exec(line ?? '') ?? [];
  return real !== undefined && real === effective && real === saved ? Number(real) : null;
}

function isGone(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ESRCH';
}

function ignoreGone(error: unknown): undefined {
  if (!isGone(error)) throw error;
}
