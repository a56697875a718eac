// The measured command lines of cloud-hypervisor's releases in test/fixtures, and the rule that a conversion is held to.

import { readFileSync } from 'node:fs';
import { parseRelease, type Release } from '../../../src/hypervisor/cloud-hypervisor/release.js';
import type { JsonObject } from '../../../src/hypervisor/exact-json.js';

export interface MeasuredLine {
  readonly id: string;
  readonly argv: readonly string[];
  readonly minimal?: JsonObject;
  readonly full?: JsonObject;
  readonly error?: string;
  readonly vmmRejects?: string;
  readonly needsFds?: boolean;
  readonly randomMac?: boolean;
}

/** Each file with the release whose own parser made it. */
export const MEASURED = {
  'cloud-hypervisor-v53/command-lines': { release: '53.0', count: 500 },
  'cloud-hypervisor-v53/microvm-nix-command-lines': { release: '53.0', count: 15 },
  'cloud-hypervisor-releases/v50': { release: '50.0', count: 300 },
  'cloud-hypervisor-releases/v52': { release: '52.0', count: 300 },
  'cloud-hypervisor-releases/v54-dev': { release: '54-dev', count: 300 },
} as const;

export type MeasuredFile = keyof typeof MEASURED;

export function releaseOf(name: string): Release {
  const release = parseRelease(name);
  if (release === undefined) throw new Error(`${name} is no release`);
  return release;
}

export function readCommandLines(file: MeasuredFile): MeasuredLine[] {
  return readFileSync(`test/fixtures/${file}.jsonl`, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as MeasuredLine);
}

/** Where `inner` says something that `outer` does not, as a path; undefined where it is all there. */
export function firstDifference(inner: unknown, outer: unknown, path = ''): string | undefined {
  if (Array.isArray(inner)) {
    if (!Array.isArray(outer) || outer.length !== inner.length) return path;
    return inner.map((item, index) => firstDifference(item, outer[index], `${path}[${index}]`)).find(Boolean);
  }
  if (typeof inner !== 'object' || inner === null) return inner === outer ? undefined : path;
  if (typeof outer !== 'object' || outer === null) return path;
  return Object.entries(inner)
    .map(([key, value]) => firstDifference(value, (outer as JsonObject)[key], `${path}.${key}`))
    .find(Boolean);
}
