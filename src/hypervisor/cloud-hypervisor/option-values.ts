// The kinds of values that keys take: how the program reads each, as JSON, and what to tell who got it wrong.

import type { JsonValue } from '../exact-json.js';
import { removeQuotes } from './option-string.js';
import { nameFirst, type Release } from './release.js';

export interface ValueKind {
  /** Ends the sentence "it takes …". */
  readonly expected: string;
  /** Reads a raw value, trimmed, not empty, its quotes kept (where the release keeps them); undefined refuses it. */
  readonly parse: (raw: string, reading: Reading) => JsonValue | undefined;
}

/** One command line on its way to a VM config. */
export interface Reading {
  /** Whose rules hold. */
  readonly release: Release;
  /** How many numbers the lists and ranges of the command may still become. */
  numbersLeft: number;
}

/** Ours, not the program's: [0-99999999999] would fill its memory and ours, and so would many [0-65535]. */
const MOST_NUMBERS = 65_536;

export const newReading = (release: Release): Reading => ({ release, numbersLeft: MOST_NUMBERS });

/** `earlier` before that release, `later` from it on. */
export function changedIn(release: Release, earlier: ValueKind, later: ValueKind): ValueKind {
  return {
    expected: later.expected,
    parse: (raw, reading) => (reading.release < release ? earlier : later).parse(raw, reading),
  };
}

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

/**
 * Names in any case, as `RAW` for `raw`.
 * @param since for those that not every release has
 */
export function oneOf(
  names: Readonly<Record<string, string>>,
  since: Readonly<Record<string, Release>> = {},
): ValueKind {
  const table = nameTable(names);
  return {
    expected: listNames(Object.keys(names), since),
    parse: (raw, { release }) => {
      const name = removeQuotes(raw).toLowerCase();
      return release < (since[name] ?? 0) ? undefined : table[name];
    },
  };
}

/** `raw or vhd, and from 54.0 on vmdk` */
export function listNames(names: readonly string[], since: Readonly<Record<string, Release>>): string {
  const later = names.flatMap(name => since[name] ?? []);
  const added = [...new Set(later)].map(
    release => `, and from ${nameFirst(release)} on ${listOf(names.filter(name => since[name] === release))}`,
  );
  return `${listOf(names.filter(name => since[name] === undefined))}${added.join('')}`;
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
  parse: (raw, { release }) => {
    const address = removeQuotes(raw);
    // Earlier a byte could have a plus sign in place of its first digit, as Rust's numbers can.
    const written = release < 51_00 ? address.replaceAll(/(?<=^|:)\+(?=[0-9a-f](:|$))/gi, '0') : address;
    return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(written) ? written.toLowerCase() : undefined;
  },
};
