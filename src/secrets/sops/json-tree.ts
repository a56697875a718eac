// JSON with its keys in the order of the text, which JSON.parse changes for keys that are numbers.
import { formatFloat } from './format-float.js';
import { damaged } from './sops-file-error.js';
import { type Branch, branch, list, requireDepth, type Tree, text, type Value } from './tree.js';

const TOKEN = /\s*(?:([[\]{},:])|"((?:[^"\\]|\\.)*)"|(true|false|null)|(-?\d[\d.eE+-]*))/y;

/** @throws SopsFileError */
export function parseJsonTree(content: string): Branch {
  try {
    JSON.parse(content);
  } catch {
    // Its message quotes the text.
    throw damaged('it is truncated or damaged: it is no valid JSON');
  }
  const tree = new TreeReader(content).read(0);
  if (tree.kind !== 'map') throw damaged('it has no keys');
  return tree;
}

/** Of JSON that is known to be valid. */
class TreeReader {
  readonly #text: string;
  #offset = 0;

  constructor(content: string) {
    this.#text = content;
  }

  read(depth: number): Tree {
    requireDepth(depth);
    const [, sign, string, word, number] = this.#next();
    if (sign === '{') return branch(this.#readMembers('}', () => this.#readEntry(depth)));
    if (sign === '[') return list(this.#readMembers(']', () => this.read(depth + 1)));
    if (string !== undefined) return text(unescapeString(string));
    if (number !== undefined) return readNumber(number);
    if (word === 'null') return { kind: 'value', type: 'null', text: '' };
    return { kind: 'value', type: 'bool', text: word === 'true' ? 'True' : 'False' };
  }

  #readEntry(depth: number): [string, Tree] {
    const [, , key = ''] = this.#next();
    this.#next();
    return [unescapeString(key), this.read(depth + 1)];
  }

  #readMembers<Member>(end: string, readMember: () => Member): Member[] {
    const members: Member[] = [];
    const start = this.#offset;
    if (this.#next()[1] === end) return members;
    this.#offset = start;
    do members.push(readMember());
    while (this.#next()[1] === ',');
    return members;
  }

  #next(): RegExpExecArray {
    TOKEN.lastIndex = this.#offset;
    const token = TOKEN.exec(this.#text);
    if (token === null) throw damaged('it is no valid JSON');
    this.#offset = TOKEN.lastIndex;
    return token;
  }
}

const unescapeString = (string: string): string => JSON.parse(`"${string}"`);

function readNumber(number: string): Value {
  if (/^-?\d+$/.test(number)) return { kind: 'value', type: 'int', text: number };
  return { kind: 'value', type: 'float', text: formatFloat(Number(number)) };
}
