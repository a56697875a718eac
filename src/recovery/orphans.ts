// Ends VMMs that an earlier daemon spawned and was killed before it wrote their record: they hold what a VM needs. Such a
// process leads a session, writes into the log of its VM, and runs as a user that may run that VM.
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isSameProcess, type ProcessFacts, processKey, readProcess } from '../system/procfs.js';
import { isChildRecord } from '../vm/record.js';
import type { RecordStore } from '../vm/record-store.js';
import { killSame } from './adoption.js';

export interface OrphanSearch {
  /** With the logs of every VM in logs/. */
  runtimeDirectory: string;
  records: Pick<RecordStore, 'readAll'>;
  /** Who may run a VMM of this VM; undefined where its VMMs are no children of ours. */
  uidsOf(vm: string): Promise<ReadonlySet<number> | undefined>;
}

export interface Orphan {
  vm: string;
  pid: number;
}

/** Of a VMM's output in logs/: `NAME.vmm.log`, which may be renamed or gone meanwhile. */
const LOG = /^([^/]+)\.vmm\.log(?:\.old)?(?: \(deleted\))?$/;

/** How long a killed process may take to be gone; its memory is given back first. */
const GONE_TIMEOUT_MS = 5_000;
const GONE_POLL_MS = 5;

/** Called before VMs are adopted and before any is started. @returns what was ended */
export async function endOrphans(search: OrphanSearch): Promise<Orphan[]> {
  const { runtimeDirectory } = search;
  const records = await search.records.readAll();
  const recorded = new Set(records.filter(isChildRecord).map(({ vmm }) => processKey(vmm)));
  // The kernel tells paths without links.
  const logs = await realpath(join(runtimeDirectory, 'logs')).catch(() => undefined);
  if (logs === undefined) return [];
  const ended: Orphan[] = [];
  for (const pid of await listPids()) {
    const vm = await findVmOfLog(pid, logs);
    if (vm === undefined || !(await isSessionLeader(pid))) continue;
    const process = await readProcess(pid).catch(() => null);
    if (process === null || recorded.has(processKey(process))) continue;
    // In a mount namespace of its own any process may have a file of that path.
    if (process.uid === null || !(await search.uidsOf(vm))?.has(process.uid)) continue;
    await end(process);
    ended.push({ vm, pid });
  }
  return ended;
}

async function end({ pid, startTimeTicks }: ProcessFacts): Promise<void> {
  await killSame(pid, startTimeTicks, 'SIGKILL');
  const deadline = performance.now() + GONE_TIMEOUT_MS;
  while ((await isSameProcess(pid, startTimeTicks)) && performance.now() < deadline)
    await delay(GONE_POLL_MS);
}

/** We spawn each VMM in a session of its own; what a person or a script runs is in theirs. */
async function isSessionLeader(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // State, parent, process group, session: the fields after the name in parentheses (proc(5)).
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === pid;
}

async function listPids(): Promise<number[]> {
  return (await readdir('/proc')).map(Number).filter(pid => Number.isInteger(pid) && pid > 1);
}

/** Whose log a process has as its standard output. */
async function findVmOfLog(pid: number, logs: string): Promise<string | undefined> {
  const output = await readlink(`/proc/${pid}/fd/1`).catch(() => '');
  return output.startsWith(`${logs}/`) ? LOG.exec(output.slice(logs.length + 1))?.[1] : undefined;
}
