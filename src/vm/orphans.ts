// Ends VMMs that an earlier daemon spawned and was killed before it noted them: nobody knows them, and they hold what a
// VM needs. Whoever else has a VM's API socket on its command line, ch-remote say, is left alone.
//
// INVARIANT: no process of anybody who runs no VMM keeps us waiting. A command line may; so it is read last, of those only
// that seem to write into a VM's log, and run as who may run its VMM.
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fifoPaths } from '../hypervisor/fifos.js';
import { readCommandLine } from '../system/command-line.js';
import { isSameProcess, type ProcessFacts, processKey, readProcess } from '../system/procfs.js';
import { killSame } from './adoption.js';
import { readRecords } from './record.js';

export interface OrphanSearch {
  /** With vms/NAME/ of every VM, and records/. */
  runtimeDirectory: string;
  /** Who may run a VMM of this VM; undefined where its VMMs are no children of ours. */
  uidsOf(vm: string): Promise<ReadonlySet<number> | undefined>;
  /** How long who runs a VMM may withhold a command line. */
  commandLineTimeoutMs?: number;
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
  const { runtimeDirectory, commandLineTimeoutMs } = search;
  const recorded = new Set((await readRecords(join(runtimeDirectory, 'records'))).map(processKey));
  // The kernel tells paths without links.
  const logs = await realpath(join(runtimeDirectory, 'logs')).catch(() => undefined);
  if (logs === undefined) return [];
  const withholding = new Set<number | null>();
  const ended: Orphan[] = [];
  for (const pid of await listPids()) {
    const vm = await findVmOfLog(pid, logs);
    if (vm === undefined || !(await isSessionLeader(pid))) continue;
    const process = await readProcess(pid).catch(() => null);
    if (process === null || recorded.has(processKey(process)) || withholding.has(process.uid)) continue;
    // In a mount namespace of their own anybody may have a file of that path.
    if (process.uid === null || !(await search.uidsOf(vm))?.has(process.uid)) continue;
    const shown = await readCommandLine(pid, commandLineTimeoutMs);
    // Whoever has one such process may have a thousand.
    if (shown === null && (await isSameProcess(pid, process.startTimeTicks))) withholding.add(process.uid);
    if (shown === null || findVmName(shown.argv, runtimeDirectory) !== vm) continue;
    await end(process);
    ended.push({ vm, pid });
  }
  return ended;
}

/** By the API socket that we gave it, or by the FIFO from where a shell is to read what it becomes. */
export function findVmName(argv: readonly string[], runtimeDirectory: string): string | undefined {
  const prefix = `${join(runtimeDirectory, 'vms')}/`;
  for (const argument of argv) {
    const at = argument.indexOf(prefix);
    // The whole argument is the path, or a part such as `path=…` or `unix:…`; not the end of a longer path.
    const isPath = at === 0 || (at > 0 && '=:'.includes(argument.charAt(at - 1)));
    const vm = !isPath ? undefined : argument.slice(at + prefix.length).split('/')[0];
    if (vm === undefined) continue;
    const directory = prefix + vm;
    const owned = [`${directory}/api.sock`, ...fifoPaths(directory, 1)];
    const path = argument.slice(at);
    if (owned.some(file => path === file || path.startsWith(`${file},`))) return vm;
  }
  return undefined;
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
