// Core dumps of this host into a folder, while a test runs. Whatever ends the test, the host's own pattern comes back.
import { execFileSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Canary } from '../canary.js';
import { whyNotOnPath, whyNotRoot } from './programs.js';

const PATTERN = '/proc/sys/kernel/core_pattern';
const CHUNK_BYTES = 16 * 1024 * 1024;

export function whyNoCoreDumps(): string | false {
  return whyNotRoot() || whyNotOnPath('prlimit') || whyReadOnly();
}

/** A container may have root and no say over the kernel. */
function whyReadOnly(): string | false {
  try {
    accessSync(PATTERN, constants.W_OK);
    writeFileSync(PATTERN, readFileSync(PATTERN));
    return false;
  } catch {
    return `${PATTERN} cannot be written`;
  }
}

/** `pipe`: by a program that the kernel starts, as systemd-coredump and apport are; it does not ask for limits of 0. */
export type CoreWay = 'file' | 'pipe';

/** Cores go that way from now on; see `dumpCoresInto`. */
export function dumpCoresBy(way: CoreWay, folder: string): void {
  const handler = join(folder, 'take-core');
  writeFileSync(handler, `#!/bin/sh\ncat > ${folder}/core.$1\n`, { mode: 0o755 });
  writeFileSync(PATTERN, way === 'pipe' ? `|${handler} %p` : join(folder, 'core.%p'));
}

/** Every process that this one starts from now on dumps core there as core.PID, unless it is kept from that. */
export function dumpCoresInto(t: Pick<Test, 'teardown'>, folder: string): void {
  const before = readFileSync(PATTERN);
  const restore = () => writeFileSync(PATTERN, before);
  process.once('exit', restore);
  t.teardown(() => {
    restore();
    process.off('exit', restore);
  });
  dumpCoresBy('file', folder);
  // ulimit -c unlimited
  execFileSync('prlimit', ['--pid', `${process.pid}`, '--core=unlimited:unlimited']);
}

/** @returns the forms of the secret in a file of any size: plain, or base64 at an alignment */
export function formsInFile(path: string, canary: Canary): string[] {
  const file = openSync(path, 'r');
  const shared = Math.max(...canary.forms.map(form => form.length));
  const chunk = Buffer.alloc(CHUNK_BYTES + shared);
  const found = new Set<string>();
  try {
    for (let at = 0; ; at += CHUNK_BYTES) {
      const length = readSync(file, chunk, 0, chunk.length, at);
      for (const { form } of canary.searchText(path, chunk.subarray(0, length))) found.add(form);
      if (length < chunk.length) return [...found];
    }
  } finally {
    closeSync(file);
  }
}
