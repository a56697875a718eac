// The measured command lines of cloud-hypervisor v53 in test/fixtures, and the rule that a conversion is held to.

import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../../src/hypervisor/cloud-hypervisor/vm-config.js';

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

export function readCommandLines(file: 'command-lines' | 'microvm-nix-command-lines'): MeasuredLine[] {
  const path = `test/fixtures/cloud-hypervisor-v53/${file}.jsonl`;
  return readFileSync(path, 'utf8')
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
