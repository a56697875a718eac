import { readFileSync, writeFileSync } from 'node:fs';

/** The most memory that the process has had since the last question. */
export function peakBytes(pid: number): number {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return Number(kibibytes) * 1024;
}
