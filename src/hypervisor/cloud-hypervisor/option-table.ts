// What a flag's option string means, as a table of its keys: the tables are in flags/, one for each option.

import { commandInvalid, quoteValue } from '../../definition/command-error.js';
import type { JsonObject, JsonValue } from '../exact-json.js';
import { type KnownKey, parseOptionString } from './option-string.js';
import type { Reading, ValueKind } from './option-values.js';
import { isThere, type Lifetime } from './release.js';

export interface KeyRule extends KnownKey {
  readonly value: ValueKind;
  /** The name in the VM config where it is not the key's own; null leaves it to `build`. */
  readonly field?: string | null;
  /** The program refuses the option without this key, in some releases only where they are named. */
  readonly required?: true | Lifetime;
  /** Written where the key is missing, because the VM config demands the field. */
  readonly fallback?: JsonValue;
  /** The VM config never shows `false` here. */
  readonly omitFalse?: true;
  /** The program does not look at this key where that other one is given. */
  readonly ignoredWith?: string;
}

/** An option string half way to the VM config. */
export interface ReadOption {
  /** The VM config's fields so far. */
  readonly fields: JsonObject;
  /** Each key's converted value. */
  readonly values: JsonObject;
  /** The keys that are there, the empty ones too, with their raw values. */
  readonly given: ReadonlyMap<string, string>;
  readonly reading: Reading;
  readonly fail: (message: string, key?: string) => never;
}

export interface OptionTable {
  readonly keys: Readonly<Record<string, KeyRule>>;
  /** Keys that other builds of the program have. */
  readonly otherBuilds?: readonly string[];
  /** What a table cannot say: joins keys, refuses combinations. */
  readonly build?: (option: ReadOption) => JsonObject;
}

/** Converts one option string; `flag` is for the errors, `reading` is shared by the options of a command. */
export function convertOption(
  flag: string,
  optionString: string,
  table: OptionTable,
  reading: Reading,
): JsonObject {
  const given = parseOptionString(flag, optionString, table.keys, reading.release, table.otherBuilds);
  const fields: JsonObject = {};
  const values: JsonObject = {};
  for (const [key, rule] of Object.entries(table.keys)) {
    if (!isThere(rule, reading.release)) continue;
    const raw = rawValue(flag, key, rule, given, reading);
    const value = raw === undefined ? rule.fallback : rule.value.parse(raw, reading);
    if (value === undefined && raw !== undefined) throw badValue(flag, key, raw, rule.value);
    if (value === undefined) continue;
    values[key] = value;
    if (rule.field !== null && !(rule.omitFalse && value === false)) fields[rule.field ?? key] = value;
  }
  const fail = (message: string, key?: string): never => {
    throw commandInvalid(`${flag}: ${message}`, key === undefined ? { flag } : { flag, key });
  };
  return table.build?.({ fields, values, given, reading, fail }) ?? fields;
}

/** An empty value counts as a missing key, as in the program. */
function rawValue(
  flag: string,
  key: string,
  rule: KeyRule,
  given: ReadonlyMap<string, string>,
  { release }: Reading,
): string | undefined {
  const raw = given.get(key);
  if (raw === undefined || raw === '') {
    if (rule.required && isThere(rule.required === true ? {} : rule.required, release))
      throw commandInvalid(`${flag}: "${key}=" is missing.`, { flag, key });
    return undefined;
  }
  return rule.ignoredWith !== undefined && given.get(rule.ignoredWith) ? undefined : raw;
}

function badValue(flag: string, key: string, raw: string, { expected }: ValueKind): Error {
  return commandInvalid(`${flag}: ${key}=${quoteValue(raw)} is not valid: it takes ${expected}.`, {
    flag,
    key,
    value: raw,
  });
}
