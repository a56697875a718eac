// Values that are lists: of numbers, of strings, and of pairs.

import type { JsonObject } from '../exact-json.js';
import { type Bits, maximum, readFitting, readUnsigned, toJson } from './option-numbers.js';
import { QUOTES_KEPT_SINCE, removeQuotes, splitAtCommas, trimBlanks } from './option-string.js';
import type { Reading, ValueKind } from './option-values.js';
import { MAIN_AFTER_53 } from './release.js';

/** Numbers and ranges, `[0,2-4]`; the outer brackets may be left out. `fit` is checked against each number. */
function readIntegers(raw: string, fit: Bits, reading: Reading): bigint[] | undefined {
  const numbers: bigint[] = [];
  for (const range of trimOuterBrackets(raw).split(',')) {
    const ends = range.split('-').map(readUnsigned);
    const first = ends[0];
    const last = ends.length === 1 ? first : ends[1];
    if (first === undefined || last === undefined || ends.length > 2) return undefined;
    if (ends.length === 2 && first >= last) return undefined;
    if (last > maximum(fit) || last - first >= BigInt(reading.numbersLeft)) return undefined;
    reading.numbersLeft -= Number(last - first) + 1;
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

const LIMIT = '65,536 numbers in all lists of a command together';
const EXPECTED_INTEGERS = `numbers and ranges such as [0,2-4], ${LIMIT}`;

/** `wrap` is for lists that the program reads as 64 bits and then cuts, so that 65536 becomes 0. */
export function integerList(fit: Bits, wrap: Bits = fit): ValueKind {
  return {
    expected: EXPECTED_INTEGERS,
    parse: (raw, reading) =>
      readIntegers(raw, fit, reading)?.map(number => toJson(BigInt.asUintN(wrap, number))),
  };
}

/** `[KEY@VALUE,…]`, each pair made into an object. */
function pairs(
  read: (key: string, value: string, reading: Reading) => JsonObject | undefined,
  expected: string,
): ValueKind {
  return {
    expected,
    parse: (raw, reading) => {
      if (raw.length < 2 || !raw.startsWith('[') || !raw.endsWith(']')) return undefined;
      const objects: JsonObject[] = [];
      const written = splitAtCommas(raw.slice(1, -1), reading.release);
      if (written === undefined) return undefined;
      for (const pair of written) {
        const ends = splitOutsideQuotes(reading.release < MAIN_AFTER_53 ? pair : trimBlanks(pair), '@');
        const object =
          ends.length === 2 ? read(removeQuotes(ends[0] ?? ''), ends[1] ?? '', reading) : undefined;
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
  return pairs((key, value, reading) => {
    const index = readFitting(key, bits);
    const hostCpus = readIntegers(value, 64, reading)?.map(toJson);
    return index === undefined || hostCpus === undefined
      ? undefined
      : { [field]: index, host_cpus: hostCpus };
  }, `pairs of an index and its host CPUs such as [0@[0-3],1@[4]], ${LIMIT}`);
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
export const textList: ValueKind = {
  expected: 'a list such as [a,b]',
  parse: (raw, { release }) =>
    release < QUOTES_KEPT_SINCE
      ? trimOuterBrackets(raw).split(',')
      : splitAtCommas(trimOuterBrackets(raw), release),
};

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
