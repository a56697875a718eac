// The documentation as tests run it: its pages, their fenced blocks, and the commands that stand in backticks.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from './project-root.js';

/** Every page, its path from the repository's top folder. */
export const PAGES: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(PROJECT_ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.md'))
    .map(path => join('docs', path)),
];

export interface Block {
  language: string;
  text: string;
}

export function readPage(page: string): string {
  return readFileSync(join(PROJECT_ROOT, page), 'utf8');
}

export function listBlocks(page: string): Block[] {
  return [...readPage(page).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** The block that begins so. @throws Error where the page has none, or two */
export function readBlock(page: string, beginning: string): string {
  const found = listBlocks(page).filter(({ text }) => text.startsWith(beginning));
  const [block] = found;
  if (block === undefined || found.length > 1)
    throw new Error(`${page} has ${found.length} blocks that begin with ${beginning}`);
  return block.text;
}

/** What stands in backticks outside of blocks, a line break in it being a blank. */
export function listInline(page: string): string[] {
  const prose = readPage(page).replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/(`+)([\s\S]*?[^`])\1(?!`)/g)].map(([, , code = '']) =>
    code.trim().replace(/\s*\n\s*/g, ' '),
  );
}

/** A command as the page has it. @throws Error where it has not */
export function readInline(page: string, command: string): string {
  if (!listInline(page).includes(command)) throw new Error(`${page} has no \`${command}\``);
  return command;
}
