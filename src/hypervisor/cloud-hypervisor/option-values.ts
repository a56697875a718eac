// The kinds of values that keys take: how the program reads each, as JSON, and what to tell who got it wrong.

import { removeQuotes } from './option-string.js';
import type { JsonValue } from './vm-config.js';

export interface ValueKind {
  /** Ends the sentence "it takes …". */
  readonly expected: string;
  /** Reads a raw value, trimmed, not empty, its quotes kept; undefined refuses it. */
  readonly parse: (raw: string, budget: NumberBudget) => JsonValue | undefined;
}

/** How many numbers the lists and ranges of one command may still become. */
export interface NumberBudget {
  left: number;
}

/** Ours, not the program's: [0-99999999999] would fill its memory and ours, and so would many [0-65535]. */
const MOST_NUMBERS = 65_536;

export const newNumberBudget = (): NumberBudget => ({ left: MOST_NUMBERS });

export const text: ValueKind = { expected: 'any text', parse: removeQuotes };

/** Quotes stay part of a toggle, so `readonly="on"` is refused, as the program does. */
export const toggle: ValueKind = {
  expected: 'on, off, true or false',
  parse: raw => TOGGLES[raw.toLowerCase()],
};
const TOGGLES: Readonly<Record<string, boolean>> = nameTable({
  on: true,
  true: true,
  off: false,
  false: false,
});

/** A table of names that knows nothing of Object.prototype: `constructor` is no name in it. */
export function nameTable<T>(names: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null), names);
}

/** Names in any case, as `RAW` for `raw`. */
export function oneOf(names: Readonly<Record<string, string>>): ValueKind {
  const table = nameTable(names);
  return { expected: listOf(Object.keys(names)), parse: raw => table[removeQuotes(raw).toLowerCase()] };
}

/** Names in this spelling only. */
export function oneOfExactly(names: Readonly<Record<string, string>>): ValueKind {
  const table = nameTable(names);
  return { expected: `${listOf(Object.keys(names))}, spelt so`, parse: raw => table[removeQuotes(raw)] };
}

function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

export const macAddress: ValueKind = {
  expected: 'a MAC address such as 02:00:00:01:01:01',
  parse: raw => {
    const address = removeQuotes(raw);
    return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(address) ? address.toLowerCase() : undefined;
  },
};
