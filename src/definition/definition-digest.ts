// Tells whether a definition means another VM: a digest of what a start makes something of.
import { createHash } from 'node:crypto';
import type { Definition } from './definition.js';

/** What counts at once, without a restart, or says only where the definition is kept. */
type Policy =
  | 'name'
  | 'origin'
  | 'path'
  | 'autostart'
  | 'restart'
  | 'ready'
  | 'onChange'
  | 'startTimeoutSeconds'
  | 'stopTimeoutSeconds';

/** @returns SHA-256, hex; the same for definitions that differ in policy only */
export function digestDefinition(definition: Definition): string {
  const { name, origin, path, autostart, restart, ready, onChange, ...others } = definition;
  const { startTimeoutSeconds, stopTimeoutSeconds, ...meaning } = others;
  const canonical = JSON.stringify(meaning satisfies Omit<Definition, Policy>, sortKeys);
  return createHash('sha256').update(canonical).digest('hex');
}

/** Who writes a definition with Nix or jq does not choose the order of its keys. */
function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
