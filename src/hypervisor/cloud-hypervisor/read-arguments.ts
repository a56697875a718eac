// Tells options and values apart as the program's own argument parser does: `--opt value` and `--opt=value`,
// several values after one flag, `-vv`. Refuses unknown options, missing and superfluous values, repetitions.

import { commandInvalid, OTHER_BUILD_HINT, quoteValue } from '../../definition/command-error.js';
import { suggestNearest } from '../../nearest-name.js';
import { refuseWrapper } from '../wrapped-command.js';
import {
  FLAGS,
  type Flag,
  MANY_REPEATED_SINCE,
  OTHER_BUILDS_PROGRAM_FLAGS,
  OTHER_BUILDS_VM_FLAGS,
} from './flags/flags.js';
import { listNames } from './option-values.js';
import { isThere, nameRelease, notInRelease, type Release } from './release.js';

export interface ReadArguments {
  /** Each option that is there, with its values in their order; a switch has none. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  /** How many times `-v` is there. */
  readonly verbosity: number;
}

interface OpenFlag {
  readonly name: string;
  readonly flag: Flag;
  readonly values: string[];
}

export function readArguments(argv: readonly string[], release: Release): ReadArguments {
  const given = new Map<string, string[]>();
  refuseWrapper(argv, name => name.startsWith('cloud-hypervisor'));
  let verbosity = 0;
  let open: OpenFlag | undefined;
  let last: string | undefined;
  const words = dropProgramPath(argv);
  for (const [index, word] of words.entries()) {
    if (word.includes('\0')) throw commandInvalid('An argument contains a NUL: no command line holds one.');
    if (word === '--' && index === words.length - 1) break;
    if (word.startsWith('--')) {
      close(open, given, release);
      open = openFlag(word, given, release);
      last = word.split('=', 1)[0];
    } else if (word.startsWith('-') && word !== '-') {
      close(open, given, release);
      open = undefined;
      verbosity += countVerbosity(word);
    } else {
      if (open === undefined || !takesAnother(open)) throw unexpectedWord(word, last);
      open.values.push(word);
    }
  }
  close(open, given, release);
  return { given, verbosity };
}

/** A command may begin with the program that it would run, as a path or by its name; which one runs is not its choice. */
export function dropProgramPath(argv: readonly string[]): readonly string[] {
  const first = argv[0] ?? '';
  if (first.startsWith('-') || first.includes('=')) return argv;
  return first.includes('/') || first.startsWith('cloud-hypervisor') ? argv.slice(1) : argv;
}

/** A value in `--opt=value` is the only one: words after it belong to nothing. */
function openFlag(word: string, given: Map<string, string[]>, release: Release): OpenFlag | undefined {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = FLAGS.get(name);
  if (flag === undefined) throw unknownFlag(name, release);
  if (!isThere(flag, release)) throw notInRelease(name, flag, release, { flag: name });
  if (given.has(name)) refuseRepetition(name, flag, release);
  if (equals < 0) return { name, flag, values: [] };
  if (flag.arity === 'none') throw commandInvalid(`${name} is a switch and takes no value.`, { flag: name });
  close({ name, flag, values: [word.slice(equals + 1)] }, given, release);
  return undefined;
}

function refuseRepetition(name: string, { arity }: Flag, release: Release): void {
  if (arity !== 'many') throw commandInvalid(`${name} is there twice; it may be given once.`, { flag: name });
  if (release >= MANY_REPEATED_SINCE) return;
  throw commandInvalid(
    `${name} is there twice, which cloud-hypervisor takes from ${nameRelease(MANY_REPEATED_SINCE)} on, and this is ${nameRelease(release)}: put all its values after the one ${name}.`,
    { flag: name, release: nameRelease(release), since: nameRelease(MANY_REPEATED_SINCE) },
  );
}

function takesAnother({ flag, values }: OpenFlag): boolean {
  return flag.arity === 'many' || (flag.arity !== 'none' && values.length === 0);
}

function close(open: OpenFlag | undefined, given: Map<string, string[]>, release: Release): void {
  if (open === undefined) return;
  const { name, flag, values } = open;
  if (values.length === 0 && (flag.arity === 'one' || flag.arity === 'many')) {
    throw commandInvalid(
      `${name} needs a value. One that begins with "-" is written with an equals sign: ${name}=-…`,
      { flag: name },
    );
  }
  const { choices = [], choicesSince = {} } = flag;
  const isChoice = (value: string) => choices.includes(value) && release >= (choicesSince[value] ?? 0);
  const wrong = choices.length > 0 ? values.find(value => !isChoice(value)) : undefined;
  if (wrong !== undefined) {
    throw commandInvalid(
      `${name}: ${quoteValue(wrong)} is not valid: it takes ${listNames(choices, choicesSince)}.`,
      {
        flag: name,
        value: wrong,
      },
    );
  }
  const earlier = given.get(name);
  if (earlier === undefined) given.set(name, values);
  else for (const value of values) earlier.push(value);
}

function countVerbosity(word: string): number {
  for (const letter of word.slice(1)) {
    if (letter === 'h') throw describesNoVm('-h');
    if (letter === 'V') throw describesNoVm('-V');
    if (letter !== 'v') throw commandInvalid(`There is no option -${letter}.`, { flag: `-${letter}` });
  }
  return word.length - 1;
}

function describesNoVm(flag: string): Error {
  return commandInvalid(`${flag} makes the program print something and end; it describes no VM.`, { flag });
}

function unknownFlag(name: string, release: Release): Error {
  const details = { flag: name.slice(0, 60) };
  if (name === '--help' || name === '--version') return describesNoVm(name);
  if (name === '--') {
    return commandInvalid('Nothing may follow "--": every value belongs to an option.', details);
  }
  if (OTHER_BUILDS_VM_FLAGS.includes(name)) return commandInvalid(`${name} ${OTHER_BUILD_HINT}`, details);
  if (OTHER_BUILDS_PROGRAM_FLAGS.includes(name)) {
    return commandInvalid(`${name} belongs to other builds of cloud-hypervisor: leave it out.`, details);
  }
  const nearest = suggestNearest(
    details.flag,
    [...FLAGS.keys()].filter(flag => isThere(FLAGS.get(flag) ?? {}, release)),
  );
  return commandInvalid(`There is no option ${quoteValue(name)}.${nearest}`, details);
}

/** @param last the option before it */
function unexpectedWord(word: string, last: string | undefined): Error {
  const place = last === undefined ? '' : `${last}: after it `;
  return commandInvalid(
    `${place}${quoteValue(word)} belongs to no option: a value with blanks must be one argument, and --opt=value takes only the one.`,
    { ...(last !== undefined && { flag: last }), value: word },
  );
}
