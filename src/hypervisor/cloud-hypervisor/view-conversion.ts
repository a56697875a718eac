// What a command line becomes, for people and programs to look at: pure, so that it needs no daemon.

import { splitCommand } from '../../definition/split-command.js';
import { convertCommand } from './from-command.js';
import { programArguments } from './program-options.js';
import { nameRelease, type Release } from './release.js';
import type { JsonObject } from './vm-config.js';

/** @throws VmsecretdError `command_invalid` */
export function viewConversion(command: string | readonly string[], release: Release): JsonObject {
  const words = typeof command === 'string' ? splitCommand(command) : command;
  const { vmConfig, program, needsFileDescriptors } = convertCommand(words, release);
  return {
    release: nameRelease(release),
    arguments: programArguments(program),
    vmConfig,
    // What JSON does not carry: a start refuses these, but for a unit's --net.
    needsFileDescriptors: [...needsFileDescriptors, ...program.inheritedDescriptors],
  };
}
