// The inverse of splitCommand: a list of arguments as one line that can be pasted into any POSIX shell.
import { quoteWord } from './quote-word.js';

export function quoteCommand(argv: readonly string[]): string {
  return argv.map(quoteWord).join(' ');
}
