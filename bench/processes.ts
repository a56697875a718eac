// What a process holds and uses, from /proc.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const IDLE_MS = 60;

/** Resident memory (proc(5), smaps_rollup). */
export function residentMiB(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Rss:\s+(\d+) kB/m.exec(rollup)?.[1]) / 1024;
}

/** CPU time of all threads that live, to the nanosecond (proc(5), schedstat). */
export function cpuMs(pid: number): number {
  return tasksOf(pid).reduce((sum, task) => sum + runNs(`${task}/schedstat`) / 1e6, 0);
}

export function childrenOf(pid: number): number[] {
  return tasksOf(pid).flatMap(task => read(`${task}/children`).split(' ').filter(Boolean).map(Number));
}

/** The deliverer that waits for the next start. */
export function spareOf(daemonPid: number): number | undefined {
  return childrenOf(daemonPid).find(child => read(`/proc/${child}/cmdline`).includes('deliverer.js'));
}

/** Until the daemon and its spare deliverer, which warms up, have nothing to do any more. */
export async function untilIdle(daemonPid: number): Promise<void> {
  for (let last = { spare: 0, usedMs: 0 }; ; await delay(IDLE_MS)) {
    const spare = spareOf(daemonPid) ?? 0;
    const now = { spare, usedMs: cpuMs(daemonPid) + cpuMs(spare) };
    if (spare !== 0 && spare === last.spare && now.usedMs - last.usedMs < 1) return;
    last = now;
  }
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(task => `/proc/${pid}/task/${task}`);
  } catch {
    return [];
  }
}

function runNs(path: string): number {
  return Number(read(path).split(' ')[0] ?? 0);
}

/** Empty for a process that is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
