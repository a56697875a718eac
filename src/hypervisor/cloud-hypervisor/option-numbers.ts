// Values that are numbers. Whatever fits into 64 bits is exact: beyond 2^53 it is a bigint.

import { removeQuotes, trimBlanks } from './option-string.js';
import type { ValueKind } from './option-values.js';

export type Bits = 8 | 16 | 32 | 64;
export const maximum = (bits: Bits): bigint => (1n << BigInt(bits)) - 1n;
const LARGEST_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

/** An unsigned whole number as Rust reads one: digits, a leading plus allowed, no blank, no 0x. */
export function readUnsigned(digits: string): bigint | undefined {
  const significant = /^\+?0*([0-9]{1,20})$/.exec(digits)?.[1];
  if (significant === undefined) return undefined;
  const value = BigInt(significant);
  return value <= maximum(64) ? value : undefined;
}

/** A JavaScript number where that is exact. */
export function toJson(value: bigint): number | bigint {
  return value <= LARGEST_EXACT ? Number(value) : value;
}

export function readFitting(digits: string, bits: Bits): number | bigint | undefined {
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
  parse: readSigned32,
};

export function readSigned32(raw: string): number | undefined {
  const digits = removeQuotes(raw);
  const value = Number(digits);
  return /^[+-]?[0-9]+$/.test(digits) && value === (value | 0) ? value : undefined;
}

const SIZE_SHIFT: Readonly<Record<string, bigint>> = { K: 10n, M: 20n, G: 30n };

/** The last letter counts; bits beyond 64 are lost without a word, as in the program. */
export const size: ValueKind = {
  expected: 'a number of bytes, or one with K, M or G',
  parse: raw => {
    const trimmed = trimBlanks(removeQuotes(raw));
    const value = readUnsigned(trimmed.replace(/(?<![KMG])[KMG]+$/, ''));
    if (value === undefined) return undefined;
    return toJson(BigInt.asUintN(64, value << (SIZE_SHIFT[trimmed.at(-1) ?? ''] ?? 0n)));
  },
};

/** THREADS:CORES:DIES:PACKAGES */
export function cpuTopology(bits: Bits): ValueKind {
  return {
    expected: 'four numbers, THREADS:CORES:DIES:PACKAGES',
    parse: raw => {
      const numbers = removeQuotes(raw)
        .split(':')
        .map(part => readFitting(part, bits));
      const [threads_per_core, cores_per_die, dies_per_package, packages] = numbers;
      if (numbers.length !== 4 || numbers.includes(undefined)) return undefined;
      return { threads_per_core, cores_per_die, dies_per_package, packages };
    },
  };
}

export const portInHex: ValueKind = {
  expected: 'a port in hexadecimal, from 0x0 to 0xffff',
  parse: raw => {
    const digits = /^0x\+?([0-9a-fA-F]+)$/.exec(removeQuotes(raw))?.[1];
    const port = Number(`0x${digits}`);
    return port <= 0xffff ? port : undefined;
  },
};
