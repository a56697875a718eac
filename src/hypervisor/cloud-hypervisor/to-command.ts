// A command line with OEM strings in its --platform. For `delivery: cmdline`, the exception, and to show a VM's
// command. What a command line would not carry unchanged is refused, and named without its value: it is a secret.

import { commandInvalid } from '../../definition/command-error.js';
import { platform } from './flags/platform.js';
import { splitAtCommas, trimBlanks } from './option-string.js';
import { convertOption } from './option-table.js';
import { newReading } from './option-values.js';
import { dropProgramPath, readArguments } from './read-arguments.js';
import { REFERENCE_RELEASE, type Release } from './release.js';

/** The kernel's MAX_ARG_STRLEN: 32 pages of 4 KiB for one argument, its NUL included. */
const LONGEST_ARGUMENT_BYTES = 131_072 - 1;

/**
 * The complete arguments, without the program's name.
 *
 * @throws VmsecretdError `command_invalid` for a string that would not reach the guest as it is, and for an
 * argument longer than the kernel allows
 */
export function buildCommandLine(
  argv: readonly string[],
  oemStrings: readonly string[],
  release: Release = REFERENCE_RELEASE,
): string[] {
  oemStrings.forEach((oemString, index) => {
    const reason = whyNotCarried(oemString, release);
    if (reason === undefined) return;
    throw commandInvalid(
      `${nameOf(oemString, index)} cannot travel on the command line: ${reason}. ${USE_API}`,
      PLACE,
    );
  });
  const commandLine = mergeOemStrings(argv, oemStrings, release);
  const longest = commandLine.reduce((most, argument) => Math.max(most, Buffer.byteLength(argument)), 0);
  if (longest > LONGEST_ARGUMENT_BYTES) {
    throw commandInvalid(
      `An argument of ${longest} bytes is too long: the kernel allows ${LONGEST_ARGUMENT_BYTES}. ${USE_API}`,
      PLACE,
    );
  }
  return commandLine;
}

const PLACE = { flag: '--platform', key: 'oem_strings' };
const USE_API = 'The delivery "api" has no such limit.';

/**
 * The same without any check, for showing: strings such as `<API_KEY: 64 bytes>` in place of the secrets.
 * Strings that the command line already has stay first; its other keys stay as they are.
 */
export function mergeOemStrings(
  argv: readonly string[],
  oemStrings: readonly string[],
  release: Release = REFERENCE_RELEASE,
): string[] {
  readArguments(argv, release);
  const words = [...dropProgramPath(argv)];
  if (oemStrings.length === 0) return words;
  const at = words.findIndex(word => word === '--platform' || word.startsWith('--platform='));
  if (at < 0) return ['--platform', mergeIntoPlatform('', oemStrings, release), ...words];
  const word = words[at] as string;
  if (word === '--platform') words[at + 1] = mergeIntoPlatform(words[at + 1] as string, oemStrings, release);
  else words[at] = `--platform=${mergeIntoPlatform(word.slice('--platform='.length), oemStrings, release)}`;
  return words;
}

/** The same arguments with a single-valued option set, or replaced where it is there. */
export function setOption(argv: readonly string[], flag: string, value: string): string[] {
  const words = [...argv];
  const at = words.findIndex(word => word === flag || word.startsWith(`${flag}=`));
  if (at < 0) words.push(flag, value);
  else words.splice(at, words[at] === flag ? 2 : 1, flag, value);
  return words;
}

/** Of several `oem_strings=` the program takes the last. */
function mergeIntoPlatform(optionString: string, oemStrings: readonly string[], release: Release): string {
  const present = readOemStrings(optionString, release);
  const parts = trimBlanks(optionString) === '' ? [] : (splitAtCommas(optionString) ?? [optionString]);
  const at = parts.findLastIndex(part => part.startsWith('oem_strings='));
  const merged = `oem_strings=[${[...present, ...oemStrings].join(',')}]`;
  if (at < 0) parts.push(merged);
  else parts[at] = merged;
  return parts.join(',');
}

function readOemStrings(optionString: string, release: Release): string[] {
  return (convertOption('--platform', optionString, platform, newReading(release)).oem_strings ??
    []) as string[];
}

/** Asks the reader itself: the string alone, and between two others. */
function whyNotCarried(oemString: string, release: Release): string | undefined {
  if (oemString.includes('\0')) return 'it contains a NUL';
  try {
    const alone = readOemStrings(`oem_strings=[${oemString}]`, release);
    const between = readOemStrings(`oem_strings=[-,${oemString},-]`, release);
    if (alone.length === 1 && alone[0] === oemString && between.length === 3) return undefined;
  } catch {
    // Its reason quotes the string, which may be a secret.
  }
  return 'commas, square brackets, unpaired quotes, and blanks at its ends would change it';
}

/** The credential's name where the string has one: it is no secret, and the rest may be. */
function nameOf(oemString: string, index: number): string {
  const name = /^io\.systemd\.credential(?:\.binary)?:([!-<>-~]{1,255})=/.exec(oemString)?.[1];
  return name === undefined ? `OEM string ${index + 1}` : `The OEM string of "${name}"`;
}
