// Tells options and values apart as the program's own argument parser does: `--opt value` and `--opt=value`,
// several values after one flag, `-vv`. Refuses unknown options, missing and superfluous values, repetitions.

import { commandInvalid, OTHER_BUILD_HINT, quoteValue } from '../../definition/command-error.js';
import { suggestNearest } from '../../nearest-name.js';
import { refuseWrapper } from '../wrapped-command.js';
import { FLAGS, type Flag, OTHER_BUILDS_PROGRAM_FLAGS, OTHER_BUILDS_VM_FLAGS } from './flags/flags.js';

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

export function readArguments(argv: readonly string[]): ReadArguments {
  const given = new Map<string, string[]>();
  refuseWrapper(argv, name => name.startsWith('cloud-hypervisor'));
  let verbosity = 0;
  let open: OpenFlag | undefined;
  const words = dropProgramPath(argv);
  for (const [index, word] of words.entries()) {
    if (word.includes('\0')) throw commandInvalid('An argument contains a NUL: no command line holds one.');
    if (word === '--' && index === words.length - 1) break;
    if (word.startsWith('--')) {
      close(open, given);
      open = openFlag(word, given);
    } else if (word.startsWith('-') && word !== '-') {
      close(open, given);
      open = undefined;
      verbosity += countVerbosity(word);
    } else {
      if (open === undefined || !takesAnother(open)) throw unexpectedWord(word);
      open.values.push(word);
    }
  }
  close(open, given);
  return { given, verbosity };
}

/** A command may begin with the program that it would run, as a path or by its name; which one runs is not its choice. */
export function dropProgramPath(argv: readonly string[]): readonly string[] {
  const first = argv[0] ?? '';
  if (first.startsWith('-') || first.includes('=')) return argv;
  return first.includes('/') || first.startsWith('cloud-hypervisor') ? argv.slice(1) : argv;
}

/** A value in `--opt=value` is the only one: words after it belong to nothing. */
function openFlag(word: string, given: Map<string, string[]>): OpenFlag | undefined {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = FLAGS.get(name);
  if (flag === undefined) throw unknownFlag(name);
  if (flag.arity !== 'many' && given.has(name)) {
    throw commandInvalid(`${name} is there twice; it may be given once.`, { flag: name });
  }
  if (equals < 0) return { name, flag, values: [] };
  if (flag.arity === 'none') throw commandInvalid(`${name} is a switch and takes no value.`, { flag: name });
  close({ name, flag, values: [word.slice(equals + 1)] }, given);
  return undefined;
}

function takesAnother({ flag, values }: OpenFlag): boolean {
  return flag.arity === 'many' || (flag.arity !== 'none' && values.length === 0);
}

function close(open: OpenFlag | undefined, given: Map<string, string[]>): void {
  if (open === undefined) return;
  const { name, flag, values } = open;
  if (values.length === 0 && (flag.arity === 'one' || flag.arity === 'many')) {
    throw commandInvalid(
      `${name} needs a value. One that begins with "-" is written with an equals sign: ${name}=-…`,
      { flag: name },
    );
  }
  const wrong = values.find(value => flag.choices?.includes(value) === false);
  if (wrong !== undefined) {
    throw commandInvalid(
      `${name}: ${quoteValue(wrong)} is not valid: it takes ${flag.choices?.join(', ')}.`,
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

function unknownFlag(name: string): Error {
  const details = { flag: name.slice(0, 60) };
  if (name === '--help' || name === '--version') return describesNoVm(name);
  if (name === '--') {
    return commandInvalid('Nothing may follow "--": every value belongs to an option.', details);
  }
  if (OTHER_BUILDS_VM_FLAGS.includes(name)) return commandInvalid(`${name} ${OTHER_BUILD_HINT}`, details);
  if (OTHER_BUILDS_PROGRAM_FLAGS.includes(name)) {
    return commandInvalid(`${name} belongs to other builds of cloud-hypervisor: leave it out.`, details);
  }
  const nearest = suggestNearest(details.flag, [...FLAGS.keys()]);
  return commandInvalid(`There is no option ${quoteValue(name)}.${nearest}`, details);
}

function unexpectedWord(word: string): Error {
  return commandInvalid(
    `${quoteValue(word)} belongs to no option: a value with blanks must be one argument, and --opt=value takes only the one.`,
    { value: word },
  );
}
