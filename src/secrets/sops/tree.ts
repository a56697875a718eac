// A sops file as sops itself sees it, whatever its format: ordered maps, lists and values. Comments are left out, which its MAC
// does not cover.
import { printable } from '../../system/printable.js';
import { damaged } from './sops-file-error.js';

/** The type that sops gives a value; `null` has none, and is never encrypted. */
export type ValueType = 'str' | 'int' | 'float' | 'bool' | 'time' | 'bytes' | 'null';

export interface Value {
  kind: 'value';
  type: ValueType;
  /** As sops hashes it: a bool is `True` or `False`, a number has no exponent. */
  text: string;
}

export interface List {
  kind: 'list';
  items: Tree[];
}

export interface Branch {
  kind: 'map';
  entries: [key: string, tree: Tree][];
}

export type Tree = Value | List | Branch;

/** Maps and lists within each other; deeper ones are no secrets that somebody keeps. */
const MAXIMUM_DEPTH = 100;

export function text(value: string): Value {
  return { kind: 'value', type: 'str', text: value };
}

/** In lists sops keeps encrypted comments beside the values. They are no values, and its MAC does not cover them. */
export function list(items: Tree[]): List {
  const isComment = (item: Tree) => item.kind === 'value' && ENCRYPTED_COMMENT.test(item.text);
  return { kind: 'list', items: items.filter(item => !isComment(item)) };
}

const ENCRYPTED_COMMENT = /^ENC\[AES256_GCM,[^\]]*,type:comment\]$/;

/** @throws SopsFileError for a key that is there twice, of which every program would take another */
export function branch(entries: [string, Tree][]): Branch {
  if (new Set(entries.map(([key]) => key)).size < entries.length) throw damaged('it has a duplicate key');
  return { kind: 'map', entries };
}

/** @throws SopsFileError */
export function requireDepth(depth: number): void {
  if (depth > MAXIMUM_DEPTH) throw damaged(`it has maps and lists in more than ${MAXIMUM_DEPTH} levels`);
}

/** Every value in the order of the file, with the keys that lead to it: positions in lists are none. */
export function* walkValues(tree: Tree, keys: readonly string[] = []): Generator<[Value, readonly string[]]> {
  if (tree.kind === 'value') yield [tree, keys];
  else if (tree.kind === 'list') for (const item of tree.items) yield* walkValues(item, keys);
  else for (const [key, member] of tree.entries) yield* walkValues(member, [...keys, key]);
}

/** Keys as people write them; they are no secrets in a sops file. */
export function showKeys(keys: readonly string[]): string {
  return printable(keys.join('/')).slice(0, 100);
}
