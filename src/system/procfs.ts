// Facts about a process, read from /proc. Gives null for a process that is gone, was replaced while it was read,
// or is a zombie; throws only for what /proc itself refuses. Nothing is read here that the process itself could withhold:
// for its command line see command-line.ts.

import { createReadStream } from 'node:fs';
import { opendir, readFile, readlink } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';

export interface ProcessFacts {
  pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names one process until the host reboots. */
  startTimeTicks: number;
  /** Null when real, effective and saved uid differ: such a process speaks for nobody. */
  uid: number | null;
  gid: number | null;
  /** As systemd counts it: the `name=systemd` line (cgroup v1 and hybrid), else the `0::` line; null without either. */
  cgroup: string | null;
  /** Null where its path is longer than the kernel tells. */
  workingDirectory: string | null;
}

/** The process as it is now, or null when there is none. Others' processes need CAP_SYS_PTRACE. */
export async function readProcess(pid: number): Promise<ProcessFacts | null> {
  try {
    const startTimeTicks = await readStartTime(pid);
    if (startTimeTicks === null) return null;
    const [status, cgroup, workingDirectory] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readFile(`/proc/${pid}/cgroup`, 'utf8'),
      readlink(`/proc/${pid}/cwd`).catch(nullWhereTooLong),
    ]);
    // The files are read one after another: a pid that was given away in between must not mix two processes.
    if ((await readStartTime(pid)) !== startTimeTicks) return null;
    return {
      pid,
      startTimeTicks,
      uid: parseOneId(status, 'Uid'),
      gid: parseOneId(status, 'Gid'),
      cgroup: parseCgroup(cgroup),
      workingDirectory,
    };
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

/**
 * Whether this very process, by pid and start time, holds a listening UNIX socket bound to this path. Its start time is
 * asked first, since a zombie or whoever got the pid may be nobody to look at for this user, and last: until then the pid may
 * have become another's, which listens there.
 */
export async function sameProcessListensOn(
  { pid, startTimeTicks }: Pick<ProcessFacts, 'pid' | 'startTimeTicks'>,
  socketPath: string,
): Promise<boolean> {
  const isSame = () => isSameProcess(pid, startTimeTicks);
  return (await isSame()) && (await processListensOn(pid, socketPath)) && (await isSame());
}

/** A VMM opens its API socket among its first; `/proc/PID/fd` lists them in their order. */
export const DESCRIPTOR_LIMIT = 4096;

/**
 * Whether whoever has this pid holds, among its first DESCRIPTOR_LIMIT descriptors, a listening UNIX socket bound to this
 * path. Compared by inode, in the process's own network namespace, because a file at the path says nothing about who made
 * it. Needs CAP_SYS_PTRACE for others.
 */
export async function processListensOn(pid: number, socketPath: string): Promise<boolean> {
  try {
    const own = await readSocketInodes(pid);
    if (own.size === 0) return false;
    // Everybody on the host may add to this file: no more than a piece of it is held at once.
    let rest = '';
    for await (const chunk of createReadStream(`/proc/${pid}/net/unix`, 'utf8')) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      if (lines.some(line => own.has(parseListeningInode(line, socketPath) ?? ''))) return true;
    }
    return false;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

async function readSocketInodes(pid: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  let count = 0;
  for await (const { name } of await opendir(`/proc/${pid}/fd`)) {
    count += 1;
    if (count > DESCRIPTOR_LIMIT) break;
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(ignoreGone);
    const inode = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

/** Field 22 of a stat line, or null for a zombie. The name in parentheses may itself hold blanks and parentheses. */
export function parseStartTime(stat: string): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTimeTicks = Number(fields[19]);
  return state === 'Z' || state === 'X' || !Number.isSafeInteger(startTimeTicks) ? null : startTimeTicks;
}

export function parseCgroup(text: string): string | null {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== undefined && path !== undefined) paths.set(controllers, path);
  }
  return paths.get('name=systemd') ?? paths.get('') ?? null;
}

/** Of a line of /proc/net/unix: its inode, where it is a stream socket that listens at exactly this path. */
export function parseListeningInode(line: string, socketPath: string): string | undefined {
  // Num RefCount Protocol Flags Type St Inode Path; 00010000 is __SO_ACCEPTCON, type 0001 SOCK_STREAM.
  const [, inode, path] = /^\S+ \S+ \S+ 00010000 0001 \S+ +(\d+) (.*)$/.exec(line) ?? [];
  return path === socketPath ? inode : undefined;
}

async function readStartTime(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(ignoreGone);
  return stat === undefined ? null : parseStartTime(stat);
}

/** The kernel escapes `\n` alone in the name of a process, and a line begins after nothing else, such as `\r`. */
export function parseOneId(status: string, field: 'Uid' | 'Gid'): number | null {
  const line = status.split('\n').find(text => text.startsWith(`${field}:`));
  const [, real, effective, saved] = /^\w+:\t(\d+)\t(\d+)\t(\d+)\t/.exec(line ?? '') ?? [];
  return real !== undefined && real === effective && real === saved ? Number(real) : null;
}

function isGone(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ESRCH';
}

function nullWhereTooLong(error: unknown): null {
  if (systemErrorCode(error) !== 'ENAMETOOLONG') throw error;
  return null;
}

function ignoreGone(error: unknown): undefined {
  if (!isGone(error)) throw error;
}
