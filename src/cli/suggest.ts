// "Did you mean …?" for commands and options. What changes a VM, or more VMs, is suggested for a typo of one letter alone:
// `top` is a program that looks, not a misspelt `stop`.
import type { Command } from 'commander';
import leven from 'leven';

/** Commands that change nothing, by whichever name. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...['list', 'show', 'check', 'command', 'convert', 'wait', 'cat', 'console', 'logs', 'ssh', 'events'],
  ...['doctor', 'version', 'completion', 'help'],
]);
/** Options that make a command change more. */
const WIDENING: ReadonlySet<string> = new Set(['--all', '--outdated', '--rm']);

/** @returns a sentence in brackets on a line of its own; empty where nothing is near */
export function suggestCommand(word: string, program: Command): string {
  const near = program.commands
    .flatMap(command =>
      [command.name(), ...command.aliases()].map(name => ({
        name,
        isHarmless: HARMLESS.has(command.name()),
        distance: isTypo(word, name) || isBeginning(word, name) ? 1 : leven(word, name),
      })),
    )
    .filter(({ name, isHarmless, distance }) =>
      isHarmless ? distance <= Math.max(1, Math.floor(word.length / 3)) : isTypo(word, name),
    )
    .sort((a, b) => a.distance - b.distance || Number(b.isHarmless) - Number(a.isHarmless));
  return near[0] === undefined ? '' : `\n(Did you mean ${near[0].name}?)`;
}

/** @param message of commander's @returns it without a suggestion that would do more than was meant */
export function dropWideningSuggestion(message: string): string {
  const [suggestion, candidates = ''] = /\n\(Did you mean (?:one of )?(.*)\?\)/.exec(message) ?? [];
  const typed = /unknown option '([^']*)'/.exec(message)?.[1];
  if (suggestion === undefined || typed === undefined) return message;
  const isRisky = candidates.split(', ').some(option => WIDENING.has(option) && !isTypo(typed, option));
  return isRisky ? message.replace(suggestion, '') : message;
}

/**
 * One letter too many, missing or wrong, or two in the wrong order, behind a first letter that is right. Two letters are too few to
 * tell: podman's `rmi` is no `rm`.
 */
function isTypo(word: string, name: string): boolean {
  const [first = ''] = /[^-]/.exec(name) ?? [];
  if (name.length < 3 || word.indexOf(first) !== name.indexOf(first)) return false;
  return leven(word, name) === 1 || isTransposed(word, name);
}

function isTransposed(word: string, name: string): boolean {
  const at = [...word].findIndex((letter, index) => letter !== name[index]);
  const swapped = word.slice(0, at) + (word[at + 1] ?? '') + (word[at] ?? '') + word.slice(at + 2);
  return at >= 0 && word !== name && swapped === name;
}

function isBeginning(word: string, name: string): boolean {
  return word.length >= 3 && name.startsWith(word);
}
