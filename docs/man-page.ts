// One man page as troff (man(7)): of a program's commands, and of plain sections.
import type { Command, Option } from 'commander';
import type { Examples } from '../src/examples.js';

export interface Section {
  title: string;
  /** Paragraphs, and terms with their explanations. */
  content: readonly (string | readonly [term: string, explanation: string])[];
}

export interface ManPage {
  name: string;
  section: 1 | 8;
  summary: string;
  version: string;
  sections: readonly Section[];
}

export function renderManPage({ name, section, summary, version, sections }: ManPage): string {
  return [
    `.TH ${quote(name.toUpperCase())} ${section} "" ${quote(`vmsecretd ${version}`)}`,
    '.SH NAME',
    `${escapeText(name)} \\- ${escapeText(summary)}`,
    ...sections.flatMap(({ title, content }) => [
      `.SH ${quote(title)}`,
      ...content.flatMap(item =>
        typeof item === 'string'
          ? ['.PP', escapeText(item)]
          : ['.TP', `.B ${quote(item[0])}`, escapeText(item[1])],
      ),
    ]),
    '',
  ].join('\n');
}

/** Synopsis, options and commands of a program as it describes itself. */
export function describeProgram(program: Command, examples: Examples): Section[] {
  const commands = program.commands.filter(command => command.name() !== 'help');
  return [
    { title: 'SYNOPSIS', content: [usageOf(program), ...commands.map(usageOf)] },
    { title: 'DESCRIPTION', content: [`${program.description()}.`] },
    { title: 'OPTIONS', content: optionsOf(program) },
    ...commands.map(command => ({
      title: `COMMAND ${command.name()}`,
      content: [`${command.description()}.`, ...optionsOf(command), ...(examples[command.name()] ?? [])],
    })),
    { title: 'EXAMPLES', content: examples[program.name()] ?? [] },
  ];
}

function usageOf(command: Command): string {
  const path = command.parent === null ? '' : `${command.parent.name()} `;
  return `${path}${command.name()} ${command.usage()}`;
}

function optionsOf(command: Command): [string, string][] {
  return command
    .createHelp()
    .visibleOptions(command)
    .filter(option => command.parent === null || option.long !== '--help')
    .map(option => [flagsOf(option), command.createHelp().optionDescription(option)]);
}

/** The long one first: it is what is looked for. */
function flagsOf({ flags, short, long }: Option): string {
  return short === undefined || long === undefined ? flags : `${flags.replace(`${short}, `, '')}, ${short}`;
}

/** A backslash begins troff's own words, a dot or quote a line of them; a plain - is a hyphen, which nobody can copy. */
function escapeText(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('’', "'")
    .replaceAll(/^(?=[.'])/gm, '\\&');
}

function quote(argument: string): string {
  return `"${escapeText(argument).replaceAll('"', '""')}"`;
}
