// Whether the VMM has what vm.create sent. No release refuses a key that it does not know: it answers 204, and the guest lacks
// what the key asked for. So vm.info is compared with what was sent, every key and every OEM string. Credentials are compared
// as bytes, since a string cannot be wiped.
import { ipAddress } from './ip-address.js';
import { newReading } from './option-values.js';
import { REFERENCE_RELEASE } from './release.js';

/**
 * @param body of vm.create
 * @param answer of vm.info
 * @returns where the first thing is that is missing or different, such as `platform.system_uuid`; undefined if all is there
 */
export function findLoss(body: Buffer, answer: Buffer): string | undefined {
  const sent = cutOemStrings(body);
  const taken = cutOemStrings(answer);
  const { config } = parseExactly(taken.text) as { config?: unknown };
  return (
    firstDifference(parseExactly(sent.text), config, '') ??
    firstOtherString(sent.strings, taken.strings, 'platform.oem_strings')
  );
}

interface CutConfig {
  /** JSON without the elements of `oem_strings`. */
  text: string;
  /** Each as it stands there, its quotes included. */
  strings: Buffer[];
}

const KEY = Buffer.from('"oem_strings"');
const [TAB, NEWLINE, RETURN, BLANK, QUOTE, COMMA, COLON, OPEN, BACKSLASH, CLOSE] =
  Buffer.from('\t\n\r ",:[\\]');

/** Inside a string of JSON each quote has a backslash, so the key is found nowhere else. */
function cutOemStrings(json: Buffer): CutConfig {
  const keyAt = json.lastIndexOf(KEY);
  const open = keyAt < 0 ? -1 : skip(json, keyAt + KEY.length, COLON);
  if (open < 0 || json[open] !== OPEN) return { text: json.toString(), strings: [] };
  const strings: Buffer[] = [];
  let at = skip(json, open + 1, COMMA);
  while (json[at] === QUOTE) {
    const end = endOfString(json, at);
    strings.push(json.subarray(at, end));
    at = skip(json, end, COMMA);
  }
  // Anything else in it makes JSON.parse fail.
  const rest = json[at] === CLOSE ? json.subarray(at) : Buffer.from('?');
  return { text: `${json.subarray(0, open + 1)}${rest}`, strings };
}

function skip(json: Buffer, from: number, separator: number | undefined): number {
  let at = from;
  while (at < json.length && [TAB, NEWLINE, RETURN, BLANK, separator].includes(json[at])) at++;
  return at;
}

function endOfString(json: Buffer, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Two ways to escape one string are the same string; a credential's name and base64 have one way only. */
function firstOtherString(
  sent: readonly Buffer[],
  taken: readonly Buffer[],
  path: string,
): string | undefined {
  const isSame = (string: Buffer, other: Buffer | undefined) =>
    other !== undefined &&
    (string.equals(other) ||
      (hasEscape(string) && JSON.parse(string.toString()) === JSON.parse(other.toString())));
  const at = sent.findIndex((string, index) => !isSame(string, taken[index]));
  if (at >= 0) return `${path}[${at}]`;
  return taken.length > sent.length ? `${path}[${sent.length}]` : undefined;
}

const hasEscape = (string: Buffer): boolean => string.includes('\\');

const MARK = '\0';

/** With every digit of numbers beyond 2^53. */
function parseExactly(json: string): unknown {
  if (!/[^\w"]\d{16}/.test(json)) return JSON.parse(json);
  const marked = json.replaceAll(/"(?:[^"\\]+|\\.)*"|\d{16,}/g, token =>
    token.startsWith('"') ? token : JSON.stringify(`${MARK}${token}`),
  );
  return JSON.parse(marked);
}

type Json = Record<string, unknown>;

/** In the order of the sent config; what the VMM adds to it is its own affair. */
function firstDifference(sent: unknown, taken: unknown, path: string, key = ''): string | undefined {
  // Nothing was asked for.
  if (sent === null) return undefined;
  if (Array.isArray(sent)) {
    if (!Array.isArray(taken)) return sent.length === 0 && taken == null ? undefined : path;
    if (taken.length !== sent.length) return path;
    for (const [index, item] of sent.entries()) {
      const place = firstDifference(item, taken[index], `${path}[${index}]`, key);
      if (place !== undefined) return place;
    }
    return undefined;
  }
  if (typeof sent !== 'object') return isSameValue(key, sent, taken) ? undefined : path;
  if (typeof taken !== 'object' || taken === null) return path;
  for (const [name, value] of Object.entries(sent as Json)) {
    // A pseudo terminal has its path from the VMM.
    if (name === 'file' && (sent as Json).mode === 'Pty') continue;
    const place = path === '' ? name : `${path}.${name}`;
    const found = firstDifference(value, fieldOf(taken as Json, name), place, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The names that 53.0 gave to keys, which it takes by their older ones, too. */
const NEWER_NAMES: Readonly<Record<string, string>> = {
  uuid: 'system_uuid',
  serial_number: 'system_serial_number',
};

function fieldOf(object: Json, name: string): unknown {
  if (Object.hasOwn(object, name)) return object[name];
  const newer = NEWER_NAMES[name];
  return newer === undefined ? undefined : object[newer];
}

/** A bool of `iommu` and the name that it has from 54.0 on; false is not shown from 52.0 on. */
const IOMMU_NAMES = new Map<unknown, unknown>([
  [true, 'Virtio'],
  ['Virtio', true],
  [false, 'Off'],
  ['Off', false],
]);

/** Values that the VMM writes in its own way. */
function isSameValue(key: string, sent: unknown, taken: unknown): boolean {
  if (sent === taken) return true;
  if (key === 'iommu')
    return IOMMU_NAMES.get(sent) === taken || ((sent === false || sent === 'Off') && taken === undefined);
  if (typeof sent !== 'string' || typeof taken !== 'string') return false;
  if (key === 'mac' || key === 'host_mac') return sent.toLowerCase() === taken.toLowerCase();
  if (key === 'ip' || key === 'mask') return writeAddress(sent) === writeAddress(taken);
  return false;
}

const writeAddress = (address: string) => ipAddress.parse(address, newReading(REFERENCE_RELEASE)) ?? address;
