// What there is to know of a credential's source: its kind, and the file that it names, if any.
import type { FieldProblem } from '../json-validator.js';
import { suggestNearest } from '../nearest-name.js';
import type { CredentialSource } from './schema.js';

/** Each a key of a source, of which it has exactly one. */
export type SourceKind = Exclude<keyof CredentialSource, 'trim' | 'onDemand'>;

/** Whether the value is the path of a file. */
const NAMES_FILE = { age: true, file: true, text: false } satisfies Record<SourceKind, boolean>;
export const SOURCE_KINDS = Object.keys(NAMES_FILE) as SourceKind[];
/** Keys of a source beside its kind. */
const OPTIONS: readonly string[] = ['trim', 'onDemand'];
const FILE_KINDS = SOURCE_KINDS.filter(kind => NAMES_FILE[kind]);

/** More than one, or none, in a definition that was not checked yet. */
export function kindsOf(source: CredentialSource): SourceKind[] {
  return SOURCE_KINDS.filter(kind => source[kind] !== undefined);
}

/** Of a source in a definition that was checked. */
export function kindOf(source: CredentialSource): SourceKind {
  const [kind] = kindsOf(source);
  if (kind === undefined) throw new TypeError('a credential has no source');
  return kind;
}

export function pathOf(source: CredentialSource): string | undefined {
  return FILE_KINDS.map(kind => source[kind]).find(path => path !== undefined);
}

/** The source with its path made another. */
export function mapPath(source: CredentialSource, change: (path: string) => string): CredentialSource {
  const changed = FILE_KINDS.flatMap(kind => {
    const path = source[kind];
    return path === undefined ? [] : [[kind, change(path)]];
  });
  return { ...source, ...Object.fromEntries(changed) };
}

/** Of sources that are none, in words of their own: what a schema says of them helps nobody. */
export function findSourceProblems(json: unknown): FieldProblem[] {
  const credentials = (json as { credentials?: unknown } | null)?.credentials;
  if (typeof credentials !== 'object' || credentials === null || Array.isArray(credentials)) return [];
  return Object.entries(credentials).flatMap(([name, source]) => {
    const message = findSourceProblem(source);
    return message === undefined ? [] : [{ field: `credentials.${name}`, message }];
  });
}

const TAKES_ONE = `must have exactly one of ${SOURCE_KINDS.join(', ')}, such as {"file": "/run/secrets/NAME"}`;

function findSourceProblem(source: unknown): string | undefined {
  if (typeof source !== 'object' || source === null || Array.isArray(source))
    return `${TAKES_ONE}, and is ${Array.isArray(source) ? 'a list' : source === null ? 'null' : `a ${typeof source}`}`;
  const unknown = Object.keys(source).find(
    key => !OPTIONS.includes(key) && !SOURCE_KINDS.includes(key as SourceKind),
  );
  if (unknown !== undefined) {
    const suggestion = suggestNearest(unknown, [...SOURCE_KINDS, ...OPTIONS]);
    return `has the unknown key ${JSON.stringify(unknown.slice(0, 60))}.${suggestion} It ${TAKES_ONE}`;
  }
  const kinds = kindsOf(source);
  if (kinds.length === 1) return undefined;
  return `${TAKES_ONE}, not ${kinds.length === 0 ? 'none' : kinds.join(' and ')}`;
}
