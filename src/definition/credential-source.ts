// What there is to know of a credential's source without reading it: its kind, where it comes from, what it watches.
import type { FieldProblem } from '../json-validator.js';
import { suggestNearest } from '../nearest-name.js';
import type { PathChange } from './sources/source-kind.js';
import { SOURCE_KINDS, SOURCES, type SourceKeys, type SourceKind } from './sources/sources.js';

export type { SourceKind };

/** Exactly one kind's keys, and what goes with any of them. */
export type CredentialSource = SourceKeys & { trim?: 'none' | 'newline'; onDemand?: boolean };

/** More than one, or none, in a definition that was not checked yet. */
function kindsOf(source: CredentialSource): SourceKind[] {
  return SOURCE_KINDS.filter(kind => source[kind] !== undefined);
}

/** Of a source in a definition that was checked. */
export function kindOf(source: CredentialSource): SourceKind {
  const [kind] = kindsOf(source);
  if (kind === undefined) throw new TypeError('a credential has no source');
  return kind;
}

/** Where the value comes from, on one line; undefined for a text. */
export function describeSource(source: CredentialSource): string | undefined {
  return SOURCES[kindOf(source)].describe(source);
}

/** What tells that the value may have changed; empty for a source that is never compared. */
export function watchedPaths(source: CredentialSource): readonly string[] {
  return SOURCES[kindOf(source)].watched(source);
}

/** The file whose content is read, for a kind that reads one. */
export function fileOf(source: CredentialSource): string | undefined {
  return SOURCES[kindOf(source)].isFile ? pathsOf(source)[0]?.path : undefined;
}

/** The source with its paths made others. */
export function mapPaths(source: CredentialSource, change: PathChange): CredentialSource {
  return { ...source, ...SOURCES[kindOf(source)].mapPaths(source, change) };
}

/** Each path of the source, with its key. */
export function pathsOf(source: CredentialSource): { key: string; path: string }[] {
  const paths: { key: string; path: string }[] = [];
  mapPaths(source, (path, key) => {
    paths.push({ key, path });
    return path;
  });
  return paths;
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

const TAKES_ONE = `must have exactly one of ${SOURCE_KINDS.join(', ')}, such as ${JSON.stringify(SOURCES.file.example)}`;
const KEYS: ReadonlyMap<string, SourceKind | undefined> = new Map([
  ['trim', undefined],
  ['onDemand', undefined],
  ...SOURCE_KINDS.flatMap(kind => Object.keys(SOURCES[kind].keys).map(key => [key, kind] as const)),
]);

function findSourceProblem(source: unknown): string | undefined {
  if (typeof source !== 'object' || source === null || Array.isArray(source))
    return `${TAKES_ONE}, and is ${Array.isArray(source) ? 'a list' : source === null ? 'null' : `a ${typeof source}`}`;
  const keys = Object.keys(source);
  const unknown = keys.filter(key => !KEYS.has(key));
  const kinds = kindsOf(source);
  const [kind] = kinds;
  const stray = keys.filter(key => kinds.length === 1 && (KEYS.get(key) ?? kind) !== kind);
  const isOne = unknown.length === 0 && kinds.length === 1;
  const counted =
    kinds.length > 1 ? `, not ${kinds.join(' and ')}` : unknown.length === 0 ? ', not none' : '';
  const problems = [
    ...unknown.map(
      key =>
        `has the unknown key ${JSON.stringify(key.slice(0, 60))}.${suggestNearest(key, [...KEYS.keys()])}`,
    ),
    ...(isOne ? [] : [`${TAKES_ONE}${counted}`]),
    ...stray.map(key => `has "${key}", which goes with "${KEYS.get(key)}", not with "${kind}"`),
  ];
  return problems.length === 0
    ? undefined
    : problems.reduce((told, next) => `${told}${/[.?]$/.test(told) ? '' : '.'} It ${next}`);
}

/** Of a source whose keys are each valid. */
export function findSourceContradiction(source: CredentialSource): string | undefined {
  return SOURCES[kindOf(source)].findProblem?.(source);
}
