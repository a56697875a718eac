// What there is to know of a credential's source: its kind, and the file that it names, if any.
import type { CredentialSource } from './schema.js';

/** Each a key of a source, of which it has exactly one. */
export const SOURCE_KINDS = ['age', 'file', 'text'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** Those whose value is the path of a file. */
const FILE_KINDS = ['age', 'file'] as const;

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
