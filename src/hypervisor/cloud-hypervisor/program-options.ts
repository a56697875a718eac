// The options that belong to the program rather than the VM: read from a command line, and written back.

import { commandInvalid, quoteValue } from '../../definition/command-error.js';
import { readSigned32 } from './option-numbers.js';
import { addQuotes, parseOptionString, removeQuotes, splitAtCommas, trimBlanks } from './option-string.js';
import type { ReadArguments } from './read-arguments.js';
import type { Release } from './release.js';

export interface ProgramOptions {
  /** The path, without `path=`; missing where the command line has none, or passes a descriptor. */
  readonly apiSocket?: string;
  /** The option's value as it was given: `path=…` or `fd=…`. */
  readonly eventMonitor?: string;
  readonly logFile?: string;
  readonly logFormat?: string;
  readonly seccomp?: string;
  readonly noShutdown: boolean;
  /** How many times `-v` was given. */
  readonly verbosity: number;
  /** The program's own options that pass an open file descriptor; it must be open in the process that becomes the VMM. */
  readonly inheritedDescriptors: readonly string[];
}

export function readProgramOptions({ given, verbosity }: ReadArguments, release: Release): ProgramOptions {
  const value = (flag: string): string | undefined => given.get(flag)?.[0];
  const socket = readApiSocket(value('--api-socket'), release);
  const logFile = value('--log-file');
  const logFormat = checkLogFormat(value('--log-format'), release);
  const monitor = readEventMonitor(value('--event-monitor'), release);
  const seccomp = value('--seccomp');
  return {
    ...(socket.path !== undefined && { apiSocket: socket.path }),
    ...(monitor.value !== undefined && { eventMonitor: monitor.value }),
    ...(logFile !== undefined && { logFile }),
    ...(logFormat !== undefined && { logFormat }),
    ...(seccomp !== undefined && { seccomp }),
    noShutdown: given.has('--no-shutdown'),
    verbosity,
    inheritedDescriptors: [
      ...(socket.isDescriptor ? ['--api-socket'] : []),
      ...(monitor.isDescriptor ? ['--event-monitor'] : []),
    ],
  };
}

/**
 * The command line that starts the program without a VM. `--restore` is never in it: beside a VM the program
 * ignores it, but without one it would restore.
 */
export function programArguments(program: ProgramOptions): string[] {
  const argv: string[] = [];
  const add = (flag: string, value: string | undefined): void => {
    if (value === undefined) return;
    if (value.startsWith('-')) argv.push(`${flag}=${value}`);
    else argv.push(flag, value);
  };
  add('--api-socket', program.apiSocket === undefined ? undefined : `path=${addQuotes(program.apiSocket)}`);
  add('--event-monitor', program.eventMonitor);
  add('--log-file', program.logFile);
  add('--log-format', program.logFormat);
  add('--seccomp', program.seccomp);
  if (program.noShutdown) argv.push('--no-shutdown');
  if (program.verbosity > 0) argv.push(`-${'v'.repeat(program.verbosity)}`);
  return argv;
}

/** `path=…`, `fd=…`, or the path itself: the program takes what it cannot read as keys for a path. */
function readApiSocket(
  value: string | undefined,
  release: Release,
): { path?: string; isDescriptor: boolean } {
  if (value === undefined) return { isDescriptor: false };
  const keys = new Map<string, string>();
  for (const part of splitAtCommas(value, release) ?? []) {
    const [, key, raw] = /^(path|fd)=(.*)$/su.exec(part) ?? [];
    if (key === undefined || raw === undefined) break;
    keys.set(key, trimBlanks(raw));
  }
  const descriptor = keys.get('fd');
  if (descriptor) {
    if (readSigned32(descriptor) === undefined) throw badDescriptor('--api-socket', descriptor);
    return { isDescriptor: true };
  }
  const path = keys.get('path');
  return { path: path ? removeQuotes(path) : value, isDescriptor: false };
}

function readEventMonitor(
  value: string | undefined,
  release: Release,
): { value?: string; isDescriptor: boolean } {
  if (value === undefined) return { isDescriptor: false };
  const flag = '--event-monitor';
  const keys = parseOptionString(flag, value, { path: {}, fd: {} }, release);
  const descriptor = keys.get('fd');
  if (descriptor !== undefined) {
    if (readSigned32(descriptor) === undefined) throw badDescriptor(flag, descriptor);
    return { value, isDescriptor: true };
  }
  if (!keys.get('path')) throw commandInvalid(`${flag}: "path=" or "fd=" is missing.`, { flag });
  return { value, isDescriptor: false };
}

function badDescriptor(flag: string, value: string): Error {
  return commandInvalid(`${flag}: fd=${quoteValue(value)} is not valid: it takes a number.`, {
    flag,
    key: 'fd',
    value,
  });
}

const FIRST_LOG_TOKENS = 'boottime|wallclock|pid|tid|thread|level|location|msg';
const LOG_TOKENS = `${FIRST_LOG_TOKENS}|glog|localglog|levelchar|(local)?(year|month|day|hour|minute|second|micros|offset)`;
const logFormat = (tokens: string) => new RegExp(`^([^{}]|\\{\\{|\\}\\}|\\{(${tokens})\\})*$`);
const LOG_FORMATS = { before53: logFormat(FIRST_LOG_TOKENS), later: logFormat(LOG_TOKENS) };

function checkLogFormat(value: string | undefined, release: Release): string | undefined {
  if (value === undefined || LOG_FORMATS[release < 53_00 ? 'before53' : 'later'].test(value)) return value;
  throw commandInvalid(
    `--log-format: ${quoteValue(value)} has an unknown token or an unpaired brace; a brace itself is {{ or }}.`,
    { flag: '--log-format', value },
  );
}
