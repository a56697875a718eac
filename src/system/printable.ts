// The one door for text of guests, VMMs and units: escape sequences redraw terminals, or type into them.

/** One line without control and invisible characters, each run of which becomes a blank: what is left of a sequence is text. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}+/gu, ' ');
}

/** The same of a console, where sequences are meant: they go without a trace. */
export function printableConsoleLine(line: string): string {
  return printable(line.replaceAll(ESCAPE_SEQUENCES, ''));
}

/** ECMA-48: CSI with its parameters; strings such as a title, with what ends them; all others of two characters. */
const ESCAPE_SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]/g;
