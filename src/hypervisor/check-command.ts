// What can be said of a definition's command line without a start.
import type { Definition, HypervisorKind } from '../definition/definition.js';
import { checkOemStrings, credentialNames } from '../definition/oem-strings.js';
import { nameVm } from '../errors.js';
import { convertCommand } from './cloud-hypervisor/from-command.js';
import { requireImageTypes } from './cloud-hypervisor/image-types.js';
import type { Release } from './cloud-hypervisor/release.js';
import { checkFwCfgCredentials, readQemuCommand } from './qemu/qemu-command.js';

type Reader = (argv: readonly string[], definition: Definition, release: Release) => readonly string[];

/** The OEM strings of a command line. @throws VmsecretdError command_invalid, for the rest of it too */
const READERS: Readonly<Record<HypervisorKind, Reader>> = {
  'cloud-hypervisor': (argv, _definition, release) => {
    const { vmConfig } = convertCommand(argv, release);
    requireImageTypes(vmConfig, release);
    return vmConfig.platform?.oem_strings ?? [];
  },
  qemu: (argv, definition) => {
    const added = [...definition.oemStrings, ...credentialNames(definition)];
    const command = readQemuCommand(argv, added.length > 0);
    checkFwCfgCredentials(definition.name, command, [...command.oemStrings, ...added]);
    return command.oemStrings;
  },
};

/**
 * @param release of the cloud-hypervisor that is to run it
 * @throws VmsecretdError command_invalid, and what checkOemStrings throws of it and the definition together
 */
export function checkCommand(definition: Definition, release: Release): void {
  const { name, path, command, oemStrings } = definition;
  try {
    if (command === undefined) return;
    const strings = READERS[definition.hypervisor](command, definition, release);
    checkOemStrings(name, [...strings, ...oemStrings], credentialNames(definition));
  } catch (error) {
    throw nameVm(error, name, path);
  }
}
