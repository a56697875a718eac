// Finds the value that a key names in a sops file, encrypted or not.
import { suggestNearest } from '../../nearest-name.js';
import { printable } from '../../system/printable.js';
import type { SopsFile } from './sops-file.js';
import { SopsFileError } from './sops-file-error.js';
import { type Branch, branch, showKeys, type Tree, type Value } from './tree.js';

export interface FoundValue {
  value: Value;
  /** The keys that lead to it, without positions in lists: what it is sealed with. */
  keys: readonly string[];
}

/**
 * In the first document, as sops does.
 * @param parts of the key; undefined for a binary file, which has one value
 * @throws SopsFileError secret_missing
 */
export function findValue({ documents }: SopsFile, parts: readonly string[] | undefined): FoundValue {
  const [tree = branch([])] = documents;
  if (parts === undefined) return findOnlyValue(tree);
  let found: Tree = tree;
  const keys: string[] = [];
  for (const [index, part] of parts.entries()) {
    const next = memberOf(found, part);
    if (next === undefined) throw missing(parts, index, found);
    if (found.kind === 'map') keys.push(part);
    found = next;
  }
  if (found.kind === 'value' && found.type !== 'null') return { value: found, keys };
  const what = found.kind === 'value' ? 'null' : `a ${found.kind}`;
  throw absent(`has ${what} at ${showKeys(parts)}, which is no value; name one with "key"`);
}

function findOnlyValue({ entries }: Branch): FoundValue {
  const [first, ...others] = entries;
  if (first?.[0] === 'data' && others.length === 0 && first[1].kind === 'value')
    return { value: first[1], keys: ['data'] };
  throw absent('is no binary file of sops; say which of its values with "key", such as "my-app/api-key"');
}

function memberOf(tree: Tree, part: string): Tree | undefined {
  if (tree.kind === 'map') return tree.entries.find(([key]) => key === part)?.[1];
  return tree.kind === 'list' && /^\d{1,9}$/.test(part) ? tree.items[Number(part)] : undefined;
}

function missing(parts: readonly string[], index: number, found: Tree): SopsFileError {
  const [part = '', known] = [parts[index], found.kind === 'map' ? found.entries.map(([key]) => key) : []];
  const place = index === 0 ? '' : ` below ${showKeys(parts.slice(0, index))}`;
  const rest = parts.slice(index).join('/');
  const hint = known.includes(rest)
    ? `. A name with a slash is written as [${JSON.stringify(showKeys([rest]))}]`
    : printable(suggestNearest(part, known)).replace(/^ (.*)\?$/, '. $1?');
  return absent(`has no ${showKeys([part])}${place}; correct "key"${hint}`);
}

function absent(message: string): SopsFileError {
  return new SopsFileError('secret_missing', message);
}
