// A sops file as it is stored: its format is told by its content, since the Nix store and clan change names.
import { TextDecoder } from 'node:util';
import { identifyFile, toSentence } from '../foreign-file.js';
import { parseDotenvTree } from './dotenv-tree.js';
import { parseIniTree } from './ini-tree.js';
import { parseJsonTree } from './json-tree.js';
import { damaged, type SopsFileError } from './sops-file-error.js';
import { readMetadata, type SopsMetadata, unflatten } from './sops-metadata.js';
import { type Branch, branch, type Tree } from './tree.js';

const METADATA_KEY = 'sops';
const DOTENV_PREFIX = 'sops_';

export interface SopsFile {
  metadata: SopsMetadata;
  /** One for each document of a YAML file. */
  documents: readonly Branch[];
}

/** @throws SopsFileError */
export async function parseSopsFile(file: Buffer): Promise<SopsFile> {
  if (file.length === 0) throw damaged('it is empty');
  const content = decodeText(file);
  if (/^\s*\{/.test(content)) return ofNested(file, [parseJsonTree(content)]);
  if (/^sops:/m.test(content)) {
    // Most hosts have no YAML file.
    const { parseYamlTrees } = await import('./yaml-tree.js');
    return ofNested(file, parseYamlTrees(content));
  }
  if (/^\[sops\]/m.test(content)) return ofSection(parseIniTree(content));
  if (new RegExp(`^${DOTENV_PREFIX}\\w+=`, 'm').test(content)) return ofLines(parseDotenvTree(content));
  throw notSops(file);
}

function decodeText(file: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file);
  } catch {
    throw notSops(file);
  }
}

function ofNested(file: Buffer, trees: readonly Branch[]): SopsFile {
  const own = trees[0]?.entries.find(([key]) => key === METADATA_KEY)?.[1];
  if (own?.kind !== 'map') throw notSops(file);
  const documents = trees.map(({ entries }) => branch(entries.filter(([key]) => key !== METADATA_KEY)));
  return { metadata: readMetadata(own), documents };
}

function ofSection(tree: Branch): SopsFile {
  const own = tree.entries.find(([key]) => key === METADATA_KEY)?.[1] as Branch;
  const documents = [branch(tree.entries.filter(([key]) => key !== METADATA_KEY))];
  return { metadata: readMetadata(unflatten(own)), documents };
}

function ofLines({ entries }: Branch): SopsFile {
  const isOwn = ([key]: [string, Tree]) => key.startsWith(DOTENV_PREFIX);
  const own = entries
    .filter(isOwn)
    .map(([key, tree]): [string, Tree] => [key.slice(DOTENV_PREFIX.length), tree]);
  return {
    metadata: readMetadata(unflatten(branch(own))),
    documents: [branch(entries.filter(entry => !isOwn(entry)))],
  };
}

function notSops(file: Buffer): SopsFileError {
  const foreign = identifyFile(file);
  // Part of a sops file is damaged, and no other program's.
  if (foreign === undefined || file.includes('ENC[AES256_GCM,'))
    return damaged(
      'it is no sops file, or what sops keeps at its end is missing. Encrypt it with sops, or name a plain file as "file"',
    );
  return damaged(`it is no sops file: ${foreign.what}. ${toSentence(foreign.advice).slice(0, -1)}`);
}
