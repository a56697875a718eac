// What can be said of a definition's command line without a host.
import type { Definition, HypervisorKind } from '../definition/definition.js';
import { nameVm } from '../errors.js';
import { convertCommand } from './cloud-hypervisor/from-command.js';
import { splitQemuCommand } from './qemu/command-line.js';

const READERS: Readonly<Record<HypervisorKind, (argv: readonly string[]) => unknown>> = {
  'cloud-hypervisor': convertCommand,
  qemu: splitQemuCommand,
};

/** @throws VmsecretdError command_invalid */
export function checkCommand({ name, path, hypervisor, command }: Definition): void {
  try {
    if (command !== undefined) READERS[hypervisor](command);
  } catch (error) {
    throw nameVm(error, name, path);
  }
}
