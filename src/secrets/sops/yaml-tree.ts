// YAML by the package yaml, its scalars read as sops reads them. Loaded when the first YAML file is opened.
import { type Document, isAlias, isMap, isScalar, isSeq, type ParsedNode, parseAllDocuments } from 'yaml';
import { damaged } from './sops-file-error.js';
import { type Branch, branch, list, requireDepth, type Tree, text } from './tree.js';
import { readPlainScalar } from './yaml-scalar.js';

/** Aliases repeat what they stand for: a small file could be a huge tree. */
const MAXIMUM_NODES = 100_000;

/** One branch for each document. @throws SopsFileError */
export function parseYamlTrees(content: string): Branch[] {
  const parsed = parse(content);
  if (parsed.length === 0) throw damaged('it is empty');
  const budget = { nodes: MAXIMUM_NODES };
  return [...parsed].map(document => {
    const [error] = document.errors;
    // Its message quotes the text.
    if (error !== undefined) {
      const line = content.slice(0, error.pos[0]).split('\n').length;
      const isDuplicate = error.code === 'DUPLICATE_KEY';
      throw damaged(
        isDuplicate
          ? `it has a duplicate key on line ${line}`
          : `it is truncated or damaged: line ${line} is no valid YAML`,
      );
    }
    const tree =
      document.contents === null ? branch([]) : readNode(document.contents, document, { depth: 0, budget });
    if (tree.kind === 'map') return tree;
    if (tree.kind === 'value' && tree.type === 'null') return branch([]);
    throw damaged('it has no keys');
  });
}

function parse(content: string) {
  try {
    // failsafe: every scalar stays the text that it is.
    return parseAllDocuments(content, { schema: 'failsafe', prettyErrors: false, logLevel: 'silent' });
  } catch (error) {
    // A file that is nested too deeply ends the parser's stack.
    if (error instanceof RangeError) throw damaged('it has too many maps and lists within each other');
    throw error;
  }
}

interface Way {
  depth: number;
  /** Shared by the whole file. */
  budget: { nodes: number };
}

function readNode(node: ParsedNode, document: Document.Parsed, { depth, budget }: Way): Tree {
  requireDepth(depth);
  budget.nodes -= 1;
  if (budget.nodes < 0) throw damaged(`it has more than ${MAXIMUM_NODES} values, aliases resolved`);
  const inner = { depth: depth + 1, budget };
  const read = (member: unknown) =>
    member === null ? readPlainScalar('') : readNode(member as ParsedNode, document, inner);
  if (isAlias(node)) {
    const target = node.resolve(document);
    if (target === undefined) throw damaged('it has an alias without an anchor');
    return readNode(target as ParsedNode, document, inner);
  }
  if (isSeq(node)) return list(node.items.map(read));
  if (isMap(node))
    return branch(node.items.map(({ key, value }) => [readKey(key), read(value)] satisfies [string, Tree]));
  if (!isScalar(node)) throw damaged('it has something that is no value');
  return readScalar(node.tag, node.type, String(node.value ?? ''));
}

function readScalar(tag: string | undefined, type: string | null | undefined, source: string): Tree {
  if (tag === 'tag:yaml.org,2002:binary') return text(Buffer.from(source, 'base64').toString('latin1'));
  const isPlain = type === 'PLAIN' && tag === undefined;
  return isPlain ? readPlainScalar(source) : text(source);
}

function readKey(key: unknown): string {
  if (isScalar(key)) return String(key.value ?? '');
  throw damaged('it has a key that is no text');
}
