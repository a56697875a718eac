// A command written as one string, split into words as a POSIX shell would, but expanding nothing. What a shell
// would act on (variables, globs, redirections, a second command) is refused, since nobody would act on it here.

import { commandInvalid } from './command-error.js';

const BLANKS = ' \t';
const REST_IS_EMPTY = /^[ \t\n]*$/;
const OPERATORS = ';&|<>()';
/** The tokens of --log-format; of other braces bash makes several words, where commas or dots are in them. */
const PLAIN_BRACES = /^\{[a-z]+\}/;

interface Reader {
  readonly text: string;
  at: number;
  word: string | undefined;
}

/** @throws VmsecretdError `command_invalid`, with the place and what to write instead */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  const reader: Reader = { text: text.replace(/^[ \t\n]+/, ''), at: 0, word: undefined };
  if (text.includes('\0')) throw commandInvalid('The command contains a NUL character.');
  while (reader.at < reader.text.length) {
    const character = reader.text[reader.at] as string;
    if (BLANKS.includes(character)) {
      if (reader.word !== undefined) words.push(reader.word);
      reader.word = undefined;
      reader.at++;
    } else if (character === '\n' && REST_IS_EMPTY.test(reader.text.slice(reader.at))) {
      break;
    } else if (character === "'") readSingleQuotes(reader);
    else if (character === '"') readDoubleQuotes(reader);
    else if (character === '\\') readBackslash(reader);
    else {
      refuseSpecial(reader, character);
      append(reader, character);
    }
  }
  if (reader.word !== undefined) words.push(reader.word);
  return words;
}

function append(reader: Reader, characters: string, length = characters.length): void {
  reader.word = (reader.word ?? '') + characters;
  reader.at += length;
}

function readSingleQuotes(reader: Reader): void {
  const end = reader.text.indexOf("'", reader.at + 1);
  if (end < 0) throw refuse(reader, 'this single quote is never closed');
  append(reader, reader.text.slice(reader.at + 1, end), end + 1 - reader.at);
}

function readDoubleQuotes(reader: Reader): void {
  const start = reader.at;
  append(reader, '', 1);
  for (;;) {
    const character = reader.text[reader.at];
    const next = reader.text[reader.at + 1];
    if (character === undefined) throw refuse({ ...reader, at: start }, 'this double quote is never closed');
    if (character === '"') break;
    if (character === '\\' && next === '\n') append(reader, '', 2);
    else if (character === '\\' && next !== undefined && '$`"\\'.includes(next)) append(reader, next, 2);
    else if (character === '$' || character === '`') throw refuse(reader, EXPANSION);
    else append(reader, character);
  }
  append(reader, '', 1);
}

/** A backslash at the end of a line joins the lines, and makes no word by itself. */
function readBackslash(reader: Reader): void {
  const next = reader.text[reader.at + 1];
  if (next === undefined) throw refuse(reader, 'this backslash has nothing after it');
  if (next === '\n') reader.at += 2;
  else append(reader, next, 2);
}

const EXPANSION = 'nothing is expanded here: write the value itself, or put single quotes around it';
const QUOTE_IT = 'a shell would act on it: put quotes around it if it belongs to the value';

function refuseSpecial(reader: Reader, character: string): void {
  const isWordStart = reader.word === undefined;
  const previous = reader.text[reader.at - 1];
  if (character === '$' || character === '`') throw refuse(reader, EXPANSION);
  if (character === '\n') throw refuse(reader, 'a new line ends the command: end this one with a backslash');
  if (character === '\r') throw refuse(reader, 'lines must end with a line feed alone');
  if (OPERATORS.includes(character) || '*?'.includes(character)) throw refuse(reader, QUOTE_IT);
  if (character === '#' && isWordStart) throw refuse(reader, 'a comment would start: put quotes around it');
  if (character === '~' && (isWordStart || /[=:]/.test(previous ?? ''))) throw refuse(reader, EXPANSION);
  if (character === '{' && !PLAIN_BRACES.test(reader.text.slice(reader.at))) throw refuse(reader, QUOTE_IT);
}

const SHOWN_BEFORE = 20;

function refuse({ text, at }: Reader, reason: string): Error {
  const before = text.slice(Math.max(0, at - SHOWN_BEFORE), at);
  const place = `${JSON.stringify(text[at])} after ${before === '' ? 'the beginning' : JSON.stringify(before)}`;
  return commandInvalid(`The command cannot be split at ${place}: ${reason}.`);
}
