// Debian's prometheus and promtool: those on PATH, or else the package unpacked into the tests' cache. It is not installed,
// because that would start a service.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../setup/cache-directory.js';
import { whyNotOnPath } from '../setup/programs.js';

export interface PrometheusPrograms {
  prometheus: string;
  promtool: string;
}

/** @returns why there are none, as a sentence for tap's `skip` */
export function findPrometheus(): PrometheusPrograms | string {
  if (whyNotOnPath('prometheus') === false && whyNotOnPath('promtool') === false)
    return { prometheus: 'prometheus', promtool: 'promtool' };
  const unpacked = join(cacheDirectory(), 'prometheus');
  try {
    if (!existsSync(unpacked)) unpackPackage(unpacked);
    const programs = join(unpacked, 'usr/bin');
    return { prometheus: join(programs, 'prometheus'), promtool: join(programs, 'promtool') };
  } catch {
    return 'prometheus is not on PATH, and its Debian package cannot be had';
  }
}

function unpackPackage(folder: string): void {
  mkdirSync(cacheDirectory(), { recursive: true });
  const part = mkdtempSync(`${folder}-part-`);
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: part, stdio: ['ignore', 'ignore', 'pipe'], timeout: 300_000 });
  run('apt-get', ['download', '-qq', 'prometheus']);
  const file = readdirSync(part).find(name => name.endsWith('.deb')) ?? '';
  run('dpkg-deb', ['--extract', file, part]);
  renameSync(part, folder);
}
