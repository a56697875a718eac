// IP addresses as Rust's standard library reads and writes them: the VM config holds the written form.

import { removeQuotes } from './option-string.js';
import type { ValueKind } from './option-values.js';
import { nameRelease, type Release } from './release.js';

const IPV6_SINCE: Release = 46_00;

export const ipAddress: ValueKind = {
  expected: `an IPv4 address, or an IPv6 address (from ${nameRelease(IPV6_SINCE)} on)`,
  parse: (raw, { release }) => {
    const address = removeQuotes(raw);
    if (readIpv4(address) !== undefined) return address;
    if (release < IPV6_SINCE) return undefined;
    const groups = readIpv6(address);
    return groups && writeIpv6(groups);
  },
};

/** Four decimal numbers without leading zeros, as the two 16-bit groups they make. */
function readIpv4(address: string): [number, number] | undefined {
  const parts = address.split('.');
  if (parts.length !== 4 || !parts.every(part => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  const [a, b, c, d] = parts.map(Number) as [number, number, number, number];
  return [a * 256 + b, c * 256 + d];
}

function readIpv6(address: string): number[] | undefined {
  const halves = address.split('::');
  if (halves.length > 2) return undefined;
  const head = readGroups(halves[0] ?? '', halves.length === 1);
  if (halves.length === 1) return head?.length === 8 ? head : undefined;
  const tail = readGroups(halves[1] ?? '', true);
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Groups of up to four hexadecimal digits; the last two of an address may be written as IPv4. */
function readGroups(part: string, isEnd: boolean): number[] | undefined {
  if (part === '') return [];
  const groups: number[] = [];
  const words = part.split(':');
  for (const [index, word] of words.entries()) {
    const ipv4 = isEnd && index === words.length - 1 ? readIpv4(word) : undefined;
    if (ipv4 !== undefined) groups.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(word)) groups.push(Number.parseInt(word, 16));
    else return undefined;
  }
  return groups;
}

/** The longest run of two or more zero groups becomes `::`, the first of equal ones. */
function writeIpv6(groups: readonly number[]): string {
  const [high = 0, low = 0] = groups.slice(6);
  if (groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  let run = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > run.length) run = { start, length: end - start };
  }
  const write = (some: readonly number[]): string => some.map(group => group.toString(16)).join(':');
  if (run.length < 2) return write(groups);
  return `${write(groups.slice(0, run.start))}::${write(groups.slice(run.start + run.length))}`;
}
