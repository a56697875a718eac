// The kinds of values that keys take: how the program reads each, as JSON, and what to tell who got it wrong.

import { removeQuotes, splitAtCommas, trimBlanks } from './option-string.js';
import type { JsonObject, JsonValue } from './vm-config.js';

export interface ValueKind {
  /** Ends the sentence "it takes …". */
  readonly expected: string;
  /** Reads a raw value, trimmed, not empty, its quotes kept; undefined refuses it. */
  readonly parse: (raw: string) => JsonValue | undefined;
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

export type Bits = 8 | 16 | 32 | 64;
const maximum = (bits: Bits): bigint => (1n << BigInt(bits)) - 1n;
const LARGEST_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

/** An unsigned whole number as Rust reads one: digits, a leading plus allowed, no blank, no 0x. */
function readUnsigned(digits: string): bigint | undefined {
  if (!/^\+?[0-9]+$/.test(digits)) return undefined;
  const value = BigInt(digits.startsWith('+') ? digits.slice(1) : digits);
  return value <= maximum(64) ? value : undefined;
}

/** A JavaScript number where that is exact. */
function toJson(value: bigint): number | bigint {
  return value <= LARGEST_EXACT ? Number(value) : value;
}

function readFitting(digits: string, bits: Bits): number | bigint | undefined {
  const value = readUnsigned(digits);
  return value === undefined || value > maximum(bits) ? undefined : toJson(value);
}

export function unsigned(bits: Bits): ValueKind {
  return {
    expected: `a whole number from 0 to ${maximum(bits)}`,
    parse: raw => readFitting(removeQuotes(raw), bits),
  };
}

export const signed32: ValueKind = {
  expected: 'a whole number',
  parse: raw => {
    const digits = removeQuotes(raw);
    const value = Number(digits);
    return /^[+-]?[0-9]+$/.test(digits) && value === (value | 0) ? value : undefined;
  },
};

const SIZE_SHIFT: Readonly<Record<string, bigint>> = { K: 10n, M: 20n, G: 30n };

/** The last letter counts; bits beyond 64 are lost without a word, as in the program. */
export const size: ValueKind = {
  expected: 'a number of bytes, or one with K, M or G',
  parse: raw => {
    const trimmed = trimBlanks(removeQuotes(raw));
    const value = readUnsigned(trimmed.replace(/[KMG]+$/, ''));
    if (value === undefined) return undefined;
    return toJson(BigInt.asUintN(64, value << (SIZE_SHIFT[trimmed.at(-1) ?? ''] ?? 0n)));
  },
};

/** Ours, not the program's: [0-99999999999] would fill its memory and ours. */
const LONGEST_LIST = 65_536;

/** Numbers and ranges, `[0,2-4]`; the outer brackets may be left out. `fit` is checked against each number. */
function readIntegers(raw: string, fit: Bits): bigint[] | undefined {
  const numbers: bigint[] = [];
  for (const range of trimOuterBrackets(raw).split(',')) {
    const ends = range.split('-').map(readUnsigned);
    const first = ends[0];
    const last = ends.length === 1 ? first : ends[1];
    if (first === undefined || last === undefined || ends.length > 2) return undefined;
    if (ends.length === 2 && first >= last) return undefined;
    if (last > maximum(fit) || last - first >= BigInt(LONGEST_LIST - numbers.length)) return undefined;
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

const EXPECTED_INTEGERS = 'numbers and ranges, such as [0,2-4]';

/** `wrap` is for lists that the program reads as 64 bits and then cuts, so that 65536 becomes 0. */
export function integerList(fit: Bits, wrap: Bits = fit): ValueKind {
  return {
    expected: EXPECTED_INTEGERS,
    parse: raw => readIntegers(raw, fit)?.map(number => toJson(BigInt.asUintN(wrap, number))),
  };
}

/** `[KEY@VALUE,…]`, each pair made into an object. */
function pairs(read: (key: string, value: string) => JsonObject | undefined, expected: string): ValueKind {
  return {
    expected,
    parse: raw => {
      if (raw.length < 2 || !raw.startsWith('[') || !raw.endsWith(']')) return undefined;
      const objects: JsonObject[] = [];
      const written = splitAtCommas(raw.slice(1, -1));
      if (written === undefined) return undefined;
      for (const pair of written) {
        const ends = splitOutsideQuotes(pair, '@');
        const object = ends.length === 2 ? read(removeQuotes(ends[0] ?? ''), ends[1] ?? '') : undefined;
        if (object === undefined) return undefined;
        objects.push(object);
      }
      return objects;
    },
  };
}

function splitOutsideQuotes(value: string, separator: string): string[] {
  const parts = [''];
  let inQuotes = false;
  for (const character of value) {
    if (character === '"') inQuotes = !inQuotes;
    if (character === separator && !inQuotes) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts;
}

/** `[0@[0-3],1@2]`: each vCPU or queue with its host CPUs. */
export function affinity(field: string, bits: Bits): ValueKind {
  return pairs((key, value) => {
    const index = readFitting(key, bits);
    const hostCpus = readIntegers(value, 64)?.map(toJson);
    return index === undefined || hostCpus === undefined
      ? undefined
      : { [field]: index, host_cpus: hostCpus };
  }, 'pairs of an index and its host CPUs, such as [0@[0-3],1@[4]]');
}

/** `[1@20]`: each NUMA node with its distance, cut to 32 and 8 bits by the program. */
export const distances: ValueKind = pairs((key, value) => {
  const destination = readUnsigned(key);
  const distance = readUnsigned(value);
  if (destination === undefined || distance === undefined) return undefined;
  return {
    destination: Number(BigInt.asUintN(32, destination)),
    distance: Number(BigInt.asUintN(8, distance)),
  };
}, 'pairs of a node and its distance, such as [1@20,2@25]');

/** `[a,b]`: quotes are kept as part of each string; `[]` is one empty string. */
export const textList: ValueKind = { expected: 'a list such as [a,b]', parse: readTextList };

export function readTextList(raw: string): string[] | undefined {
  return splitAtCommas(trimOuterBrackets(raw));
}

/** Every leading and trailing bracket goes, however many, on either side. */
function trimOuterBrackets(raw: string): string {
  const trimmed = trimBlanks(raw);
  let start = 0;
  let end = trimmed.length;
  while (start < end && isBracket(trimmed[start])) start++;
  while (end > start && isBracket(trimmed[end - 1])) end--;
  return trimmed.slice(start, end);
}

const isBracket = (character: string | undefined): boolean => character === '[' || character === ']';

export const macAddress: ValueKind = {
  expected: 'a MAC address such as 02:00:00:01:01:01',
  parse: raw => {
    const address = removeQuotes(raw);
    return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(address) ? address.toLowerCase() : undefined;
  },
};

/** THREADS:CORES:DIES:PACKAGES */
export const cpuTopology: ValueKind = {
  expected: 'four numbers, THREADS:CORES:DIES:PACKAGES',
  parse: raw => {
    const numbers = removeQuotes(raw)
      .split(':')
      .map(part => readFitting(part, 16));
    const [threads_per_core, cores_per_die, dies_per_package, packages] = numbers;
    if (numbers.length !== 4 || numbers.includes(undefined)) return undefined;
    return { threads_per_core, cores_per_die, dies_per_package, packages };
  },
};

export const portInHex: ValueKind = {
  expected: 'a port in hexadecimal, from 0x0 to 0xffff',
  parse: raw => {
    const digits = /^0x\+?([0-9a-fA-F]+)$/.exec(removeQuotes(raw))?.[1];
    const port = Number(`0x${digits}`);
    return port <= 0xffff ? port : undefined;
  },
};
