// Tells whether a definition means another VM: a digest of what a start makes something of.
import { createHash } from 'node:crypto';
import type { Definition } from './definition.js';
import { DEFAULTS } from './schema.js';

/** What counts at once, without a restart, or says only where the definition is kept. */
const POLICY: readonly (keyof Definition)[] = [
  'name',
  'origin',
  'path',
  'autostart',
  'restart',
  'ready',
  'onChange',
  'startTimeoutSeconds',
  'stopTimeoutSeconds',
];

/**
 * @returns SHA-256, hex; the same for definitions that differ in policy only, and whatever keys a later version has that are
 * left out
 */
export function digestDefinition(definition: Definition): string {
  const meaning = Object.entries(definition).filter(
    ([key, value]) => !POLICY.some(policy => policy === key) && !isDefault(key, value),
  );
  return digest(Object.fromEntries(meaning));
}

function isDefault(key: string, value: unknown): boolean {
  const fallback = Object.entries(DEFAULTS).find(([name]) => name === key)?.[1];
  return JSON.stringify(value) === JSON.stringify(fallback);
}

/** The digest in records without a version: of these keys, defaults and all. */
export function digestUnversioned(definition: Definition): string {
  const { command, vmConfig, workingDirectory, oemStrings, credentials, hypervisor, program } = definition;
  const { delivery, supervisor, unit, user, group, identities, preStart } = definition;
  return digest({
    ...{ command, vmConfig, workingDirectory, oemStrings, credentials, hypervisor, program },
    ...{ delivery, supervisor, unit, user, group, identities, preStart },
  });
}

function digest(meaning: object): string {
  return createHash('sha256').update(JSON.stringify(meaning, sortKeys)).digest('hex');
}

/** Who writes a definition with Nix or jq does not choose the order of its keys. */
function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
