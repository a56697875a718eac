// The cloud-hypervisor programs that tests run on: those of CLOUD_HYPERVISORS (paths, separated by colons), or the one on PATH.
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findRelease, nameRelease, type Release } from '../../src/hypervisor/cloud-hypervisor/release.js';
import { mayAccess, whyNotOnPath } from './programs.js';

export interface RealProgram {
  /** Such as `cloud-hypervisor 52.0`. */
  readonly name: string;
  readonly program: string;
  /** Undefined where it is not there. */
  readonly release: Release | undefined;
  /** Why it cannot be tested, or false. */
  readonly skip: string | false;
}

export function realPrograms(): RealProgram[] {
  const wanted = process.env.CLOUD_HYPERVISORS?.split(delimiter).filter(path => path !== '') ?? [];
  if (wanted.length > 0) return wanted.map(describe);
  const skip = whyNotOnPath('cloud-hypervisor');
  if (skip) return [{ name: 'cloud-hypervisor', program: 'cloud-hypervisor', release: undefined, skip }];
  const found = (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, 'cloud-hypervisor'));
  return [describe(found.find(path => mayAccess(path, constants.X_OK)) ?? 'cloud-hypervisor')];
}

/** One that was asked for and cannot be run is an error: a list that is not tested would look as if it was. */
function describe(program: string): RealProgram {
  const text = execFileSync(program, ['--version'], { encoding: 'utf8' });
  const release = findRelease(text);
  if (release === undefined) throw new Error(`${program} --version names no release: ${text}`);
  return { name: `cloud-hypervisor ${nameRelease(release)}`, program, release, skip: false };
}
