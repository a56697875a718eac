// What a flag's option string means, as a table of its keys: the tables are in flags/, one for each option.

import { commandInvalid, quoteValue } from '../../definition/command-error.js';
import { parseOptionString } from './option-string.js';
import type { ValueKind } from './option-values.js';
import type { JsonObject, JsonValue } from './vm-config.js';

export interface KeyRule {
  readonly value: ValueKind;
  /** The name in the VM config where it is not the key's own; null leaves it to `build`. */
  readonly field?: string | null;
  /** The program refuses the option without this key. */
  readonly required?: true;
  /** Written where the key is missing, because the VM config demands the field. */
  readonly fallback?: JsonValue;
  /** The VM config never shows `false` here. */
  readonly omitFalse?: true;
  /** The program does not look at this key where that other one is given. */
  readonly ignoredWith?: string;
  /** The key stands alone: `tty`, not `tty=…`. */
  readonly valueless?: boolean;
}

/** An option string half way to the VM config. */
export interface ReadOption {
  /** The VM config's fields so far. */
  readonly fields: JsonObject;
  /** Each key's converted value. */
  readonly values: JsonObject;
  /** The keys that are there, the empty ones too, with their raw values. */
  readonly given: ReadonlyMap<string, string>;
  readonly fail: (message: string, key?: string) => never;
}

export interface OptionTable {
  readonly keys: Readonly<Record<string, KeyRule>>;
  /** Keys that other builds of the program have. */
  readonly otherBuilds?: readonly string[];
  /** What a table cannot say: joins keys, refuses combinations. */
  readonly build?: (option: ReadOption) => JsonObject;
}

/** Converts one option string; `flag` is for the errors. */
export function convertOption(flag: string, optionString: string, table: OptionTable): JsonObject {
  const given = parseOptionString(flag, optionString, table.keys, table.otherBuilds);
  const fields: JsonObject = {};
  const values: JsonObject = {};
  for (const [key, rule] of Object.entries(table.keys)) {
    const value = readKey(flag, key, rule, given) ?? rule.fallback;
    if (value === undefined) continue;
    values[key] = value;
    if (rule.field !== null && !(rule.omitFalse && value === false)) fields[rule.field ?? key] = value;
  }
  const fail = (message: string, key?: string): never => {
    throw commandInvalid(`${flag}: ${message}`, key === undefined ? { flag } : { flag, key });
  };
  return table.build?.({ fields, values, given, fail }) ?? fields;
}

/** An empty value counts as a missing key, as in the program. */
function readKey(
  flag: string,
  key: string,
  rule: KeyRule,
  given: ReadonlyMap<string, string>,
): JsonValue | undefined {
  const raw = given.get(key);
  if (raw === undefined || raw === '') {
    if (rule.required) throw commandInvalid(`${flag}: "${key}=" is missing.`, { flag, key });
    return undefined;
  }
  if (rule.ignoredWith !== undefined && given.get(rule.ignoredWith)) return undefined;
  const value = rule.value.parse(raw);
  if (value !== undefined) return value;
  throw commandInvalid(`${flag}: ${key}=${quoteValue(raw)} is not valid: it takes ${rule.value.expected}.`, {
    flag,
    key,
    value: raw,
  });
}
