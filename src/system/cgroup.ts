// What the processes of a unit use, from the files of its cgroup (version 2). Each file is there only where the kernel has the
// controller and systemd has turned it on, so each number may be missing.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Usage {
  cpuUserSeconds?: number;
  cpuSystemSeconds?: number;
  memoryBytes?: number;
  /** Of block devices, below the page cache. */
  blockReadBytes?: number;
  blockWriteBytes?: number;
}

/** Of version 2 alone, and of version 2 beside version 1. */
const ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

function findRoot(): string | undefined {
  return ROOTS.find(root => existsSync(join(root, 'cgroup.controllers')));
}

/** @param path as systemd tells it in ControlGroup=, such as /system.slice/x.service @param root of cgroups of version 2 */
export async function readCgroupUsage(path: string, root = findRoot()): Promise<Usage> {
  if (root === undefined) return {};
  const [cpu, memory, io] = await Promise.all(
    ['cpu.stat', 'memory.current', 'io.stat'].map(name =>
      readFile(join(root, path, name), 'utf8').catch(() => undefined),
    ),
  );
  const usage: Usage = {};
  if (cpu !== undefined) {
    usage.cpuUserSeconds = sum(cpu, /^user_usec (\d+)$/gm) / 1e6;
    usage.cpuSystemSeconds = sum(cpu, /^system_usec (\d+)$/gm) / 1e6;
  }
  if (memory !== undefined) usage.memoryBytes = Number(memory);
  if (io !== undefined) {
    usage.blockReadBytes = sum(io, /\brbytes=(\d+)/g);
    usage.blockWriteBytes = sum(io, /\bwbytes=(\d+)/g);
  }
  return usage;
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, [, digits]) => total + Number(digits), 0);
}
