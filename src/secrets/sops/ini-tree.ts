// An INI file as sops writes it: sections of keys, values that are quoted where they have to be.
import { damaged } from './sops-file-error.js';
import { type Branch, branch, type Tree, text } from './tree.js';

/** Of keys that stand before the first section. */
const DEFAULT_SECTION = 'DEFAULT';
const HEADER = /^\[(.+)\]$/;
const QUOTES = ['"""', '`'];

/** @throws SopsFileError */
export function parseIniTree(content: string): Branch {
  const sections: [name: string, keys: [string, Tree][]][] = [[DEFAULT_SECTION, []]];
  const lines = content.split(/\r?\n/);
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]?.trim() ?? '';
    if (line === '' || /^[#;]/.test(line)) continue;
    const [, section] = HEADER.exec(line) ?? [];
    if (section !== undefined) {
      sections.push([section.trim(), []]);
      continue;
    }
    const { key, rest } = splitKey(line, index + 1);
    const { value, lastIndex } = readValue(rest, lines, index);
    index = lastIndex;
    sections.at(-1)?.[1].push([key, text(value)]);
  }
  return branch(
    sections
      .filter(([name, keys]) => name !== DEFAULT_SECTION || keys.length > 0)
      .map(([name, keys]) => [name, branch(keys)]),
  );
}

function splitKey(line: string, number: number): { key: string; rest: string } {
  const quote = QUOTES.find(mark => line.startsWith(mark)) ?? '';
  const from = quote === '' ? 0 : line.indexOf(quote, quote.length) + quote.length;
  const end = line.slice(from).search(/[=:]/);
  if (from < quote.length || end < 0) throw damaged(`line ${number} is no KEY = VALUE`);
  const key = line.slice(0, from + end).trim();
  return {
    key: quote === '' ? key : key.slice(quote.length, -quote.length),
    rest: line.slice(from + end + 1).trim(),
  };
}

function readValue(
  start: string,
  lines: readonly string[],
  index: number,
): { value: string; lastIndex: number } {
  const quote = QUOTES.find(mark => start.startsWith(mark));
  if (quote === undefined) {
    const [, quoted] = /^"(.*)"$/.exec(start) ?? /^'(.*)'$/.exec(start) ?? [];
    return { value: quoted ?? start.replace(/\s*[#;].*$/, ''), lastIndex: index };
  }
  let value = start.slice(quote.length);
  let lastIndex = index;
  while (!value.includes(quote) && lastIndex + 1 < lines.length) value += `\n${lines[++lastIndex]}`;
  const end = value.indexOf(quote);
  if (end < 0) throw damaged(`the value that begins on line ${index + 1} does not end`);
  return { value: value.slice(0, end), lastIndex };
}
