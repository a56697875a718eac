// What can be said of a definition's command line without a host.
import type { Definition, HypervisorKind } from '../definition/definition.js';
import { checkOemStrings, credentialNames } from '../definition/oem-strings.js';
import { nameVm } from '../errors.js';
import { convertCommand } from './cloud-hypervisor/from-command.js';
import { staticOemStrings } from './qemu/qemu-arguments.js';

/** The OEM strings of a command line. @throws VmsecretdError command_invalid, for the rest of it too */
const READERS: Readonly<Record<HypervisorKind, (argv: readonly string[]) => readonly string[]>> = {
  'cloud-hypervisor': argv => convertCommand(argv).vmConfig.platform?.oem_strings ?? [],
  qemu: staticOemStrings,
};

/** @throws VmsecretdError command_invalid, and what checkOemStrings throws of it and the definition together */
export function checkCommand(definition: Definition): void {
  const { name, path, hypervisor, command, oemStrings } = definition;
  try {
    if (command === undefined) return;
    checkOemStrings(name, [...READERS[hypervisor](command), ...oemStrings], credentialNames(definition));
  } catch (error) {
    throw nameVm(error, name, path);
  }
}
