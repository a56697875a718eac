// The program's `key=value,key=value` strings, split by its own rules: commas inside quotes or brackets do not
// split, keys are taken as they are, values are trimmed, the last of two equal keys counts. Up to release 47 quotes vanished
// in splitting, wherever they were, and brackets counted inside them, too.

import { commandInvalid, OTHER_BUILD_HINT, quoteValue } from '../../definition/command-error.js';
import { suggestNearest } from '../../nearest-name.js';
import { isThere, type Lifetime, notInRelease, type Release } from './release.js';

export interface KnownKey extends Lifetime {
  /** The key stands alone: `tty`, not `tty=…`. */
  readonly valueless?: boolean;
  /** What to do in a release that does not have the key, where there is better than leaving it out. */
  readonly instead?: string;
}

export type KnownKeys = Readonly<Record<string, KnownKey>>;

/** The first release that keeps quotes until a value is read. */
export const QUOTES_KEPT_SINCE: Release = 48_00;

/** Splits at the commas outside quotes and brackets; undefined when those are not balanced. */
export function splitAtCommas(text: string, release: Release = QUOTES_KEPT_SINCE): string[] | undefined {
  const keepsQuotes = release >= QUOTES_KEPT_SINCE;
  const parts: string[] = [];
  let openBrackets = 0;
  let inQuotes = false;
  let start = 0;
  const trimmed = trimBlanks(text);
  for (let at = 0; at < trimmed.length; at++) {
    const character = trimmed[at];
    if (character === '"') inQuotes = !inQuotes;
    else if (inQuotes && (keepsQuotes || character === ',')) continue;
    else if (character === '[') openBrackets++;
    else if (character === ']' && --openBrackets < 0) return undefined;
    else if (character === ',' && openBrackets === 0) {
      parts.push(trimmed.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(trimmed.slice(start));
  if (inQuotes || openBrackets !== 0) return undefined;
  return keepsQuotes ? parts : parts.map(part => part.replaceAll('"', ''));
}

/** Takes the quotes away; a doubled quote that follows a closing one (`"a""b"`) stands for itself. */
export function removeQuotes(text: string): string {
  if (!text.includes('"')) return text;
  let inQuotes = false;
  let result = '';
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '"') result += text[at];
    else {
      if (text[at - 1] === '"' && !inQuotes) result += '"';
      inQuotes = !inQuotes;
    }
  }
  return result;
}

/** The inverse of removeQuotes, for a value that splits at no comma: quotes only where they are needed. */
export function addQuotes(text: string): string {
  return PLAIN_VALUE.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

const BLANKS = '\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const PLAIN_VALUE = new RegExp(`^[^"[\\],${BLANKS}]+$`);
const LEADING_BLANKS = new RegExp(`^[${BLANKS}]+`);
const TRAILING_BLANKS = new RegExp(`(?<![${BLANKS}])[${BLANKS}]+$`);

/** Unicode's white space, as Rust trims it: with U+0085 and without U+FEFF, unlike JavaScript's trim. */
export function trimBlanks(text: string): string {
  return text.replace(LEADING_BLANKS, '').replace(TRAILING_BLANKS, '');
}

/** The keys that were given, each with its raw value (quotes kept); `key=` is there with an empty value. */
export function parseOptionString(
  flag: string,
  text: string,
  known: KnownKeys,
  release: Release,
  otherBuilds: readonly string[] = [],
): Map<string, string> {
  const given = new Map<string, string>();
  if (trimBlanks(text) === '') return given;
  const parts = splitAtCommas(text, release);
  if (parts === undefined) {
    throw commandInvalid(`${flag}: quotes or brackets are not balanced in ${quoteValue(text)}.`, {
      flag,
      value: text,
    });
  }
  for (const part of parts) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    const rule = Object.hasOwn(known, key) ? known[key] : undefined;
    if (rule === undefined) throw unknownKey(flag, key, keysOf(known, release), otherBuilds);
    if (!isThere(rule, release))
      throw notInRelease(`${flag}: "${key}"`, rule, release, { flag, key }, rule.instead);
    if (rule.valueless) given.set(key, '');
    else if (equals < 0) throw commandInvalid(`${flag}: "${key}" needs a value: ${key}=…`, { flag, key });
    else given.set(key, trimBlanks(part.slice(equals + 1)));
  }
  return given;
}

function keysOf(known: KnownKeys, release: Release): string[] {
  return Object.keys(known).filter(key => isThere(known[key] ?? {}, release));
}

function unknownKey(
  flag: string,
  key: string,
  keys: readonly string[],
  otherBuilds: readonly string[],
): Error {
  const details = { flag, key: key.slice(0, 60) };
  if (key === '') return commandInvalid(`${flag}: a comma too many, or nothing before an "=".`, details);
  if (keys.includes(trimBlanks(key))) {
    return commandInvalid(`${flag}: remove the blank beside the key in ${quoteValue(key)}.`, details);
  }
  if (otherBuilds.includes(key)) return commandInvalid(`${flag}: ${key}= ${OTHER_BUILD_HINT}`, details);
  const hint = suggestNearest(key.slice(0, 60), keys) || ` It takes ${keys.filter(isShown).join(', ')}.`;
  return commandInvalid(`${flag}: there is no key ${quoteValue(key)}.${hint}`, details);
}

/** Keys that begin with an underscore are the program's, for its own tests. */
const isShown = (key: string): boolean => !key.startsWith('_');
