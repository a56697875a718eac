// What a command line of cloud-hypervisor becomes, for people and programs to look at: pure, so that it needs no daemon.
import { splitCommand } from '../definition/split-command.js';
import { convertCommand } from './cloud-hypervisor/from-command.js';
import { programArguments } from './cloud-hypervisor/program-options.js';
import { nameRelease, parseRelease, type Release } from './cloud-hypervisor/release.js';
import type { JsonObject } from './exact-json.js';

export { parseRelease, type Release };

export interface Conversion extends JsonObject {
  release: string;
  /** Of the VMM's own process. */
  arguments: string[];
  vmConfig: JsonObject;
  /** What JSON does not carry: a start refuses these, but for a unit's --net. */
  needsFileDescriptors: string[];
}

/** @throws VmsecretdError `command_invalid` */
export function viewConversion(command: string | readonly string[], release: Release): Conversion {
  const words = typeof command === 'string' ? splitCommand(command) : command;
  const { vmConfig, program, needsFileDescriptors } = convertCommand(words, release);
  return {
    release: nameRelease(release),
    arguments: programArguments(program),
    vmConfig,
    needsFileDescriptors: [...needsFileDescriptors, ...program.inheritedDescriptors],
  };
}
