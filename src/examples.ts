// Examples of a program's commands: shown by --help, in docs/cli.md and in the man pages.
import type { Command } from 'commander';

/** By name of the command, or of the program itself: what is typed, and what that does. */
export type Examples = Readonly<Record<string, readonly (readonly [line: string, meaning: string])[]>>;

export function addExamples(program: Command, examples: Examples): void {
  for (const command of [program, ...program.commands]) {
    const ours = examples[command.name()] ?? [];
    const width = Math.max(0, ...ours.map(([line]) => line.length));
    const shown = ours.map(([line, meaning]) => `  ${line.padEnd(width)}  # ${meaning}`);
    if (shown.length > 0) command.addHelpText('after', `\nExamples:\n${shown.join('\n')}`);
  }
}
