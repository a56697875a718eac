// Which values of a sops file are to be encrypted, by the rule that it has. The rule itself is not authenticated, and need not be:
// the MAC is over the values.
import { createContext, Script } from 'node:vm';
import type { SopsMetadata } from './sops-metadata.js';

/** Undefined where the rule cannot tell: then the value's own form does. */
export type EncryptionRule = (keys: readonly string[]) => boolean | undefined;

const DEFAULT_RULE = { name: 'unencrypted_suffix', value: '_unencrypted' } as const;
/** A pattern of which a match takes longer is not one that sops would have finished, either. */
const PATTERN_TIMEOUT_MS = 500;

/** @param allKeys that are in the file */
export function createEncryptionRule(
  { rule = DEFAULT_RULE }: Pick<SopsMetadata, 'rule'>,
  allKeys: readonly string[],
): EncryptionRule {
  const { name, value } = rule;
  // Of comments, which are not authenticated and mean what go-yaml makes of their places.
  if (name.endsWith('_comment_regex')) return () => undefined;
  const matching = name.endsWith('_regex')
    ? findMatching(value, allKeys)
    : new Set(allKeys.filter(key => key.endsWith(value)));
  if (matching === undefined) return () => undefined;
  const isForMatching = name.startsWith('encrypted_');
  return keys => keys.some(key => matching.has(key)) === isForMatching;
}

/** A pattern of Go that means the same in JavaScript; undefined for others. */
function findMatching(pattern: string, keys: readonly string[]): ReadonlySet<string> | undefined {
  const [, flags = ''] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
  const body = pattern
    .slice(flags === '' ? 0 : flags.length + 3)
    .replaceAll('(?P<', '(?<')
    .replaceAll('\\A', '^')
    .replaceAll('\\z', '$');
  if (/\[\[:|\\[pPQCE]|\(\?[a-zA-Z^-]/.test(body)) return undefined;
  try {
    const matches = new RegExp(body, flags);
    // A script can be ended while a pattern of somebody else's backtracks.
    const context = createContext({ matches, keys });
    const script = new Script('keys.filter(key => matches.test(key))');
    return new Set(script.runInContext(context, { timeout: PATTERN_TIMEOUT_MS }) as string[]);
  } catch {
    return undefined;
  }
}
