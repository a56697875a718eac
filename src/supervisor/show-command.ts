// The complete command line and VM config of a start, for people: secrets shown as <NAME: size>.

import { VmsecretdError } from '../errors.js';
import { convertCommand } from '../hypervisor/cloud-hypervisor/from-command.js';
import { mergeOemStrings } from '../hypervisor/cloud-hypervisor/to-command.js';
import type { JsonObject } from '../hypervisor/cloud-hypervisor/vm-config.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { planVm, type StartTools } from '../vm/start-vm.js';
import type { Vm } from '../vm/vm.js';
import { readLauncherCommand } from './unit/launcher-command.js';

export interface CommandView {
  /** What a person would type; the VMM's own program first. */
  command: readonly string[];
  vmConfig: JsonObject | null;
  /** What the VMM is really started with. */
  arguments: readonly string[];
}

/** @throws VmsecretdError state_conflict: its launcher has not brought the command yet; and what a plan throws */
export async function showCommand(vm: Vm, tools: StartTools): Promise<CommandView> {
  const { definition, paths } = vm;
  const command = definition.command ?? (await launchersCommand(vm));
  const plan =
    vm.running?.plan ??
    (await planVm(tools, {
      definition,
      paths,
      ownsConsole: definition.supervisor === 'daemon',
      ...(command === undefined ? {} : { command }),
    }));
  const sizes = new Map(vm.running?.credentials.map(({ name, sizeBytes }) => [name, `${sizeBytes} bytes`]));
  const placeholders = Object.keys(definition.credentials).map(
    name => `io.systemd.credential.binary:${name}=<${name}: ${sizes.get(name) ?? 'size known once started'}>`,
  );
  if (plan.vmConfig === undefined || plan.release === undefined) {
    return { command: [plan.program, ...plan.arguments], vmConfig: null, arguments: plan.arguments };
  }
  const vmConfig = plan.vmConfig as JsonObject & { platform?: JsonObject };
  const oemStrings = [...plan.staticOemStrings, ...placeholders];
  return {
    command: [
      plan.program,
      // A VM config is no command line: the program is started with its own options, and gets the VM by its API.
      ...(command === undefined ? plan.arguments : withOemStrings(command, oemStrings, plan.release)),
    ],
    vmConfig:
      oemStrings.length === 0
        ? vmConfig
        : { ...vmConfig, platform: { ...vmConfig.platform, oem_strings: oemStrings } },
    arguments: plan.arguments,
  };
}

/** All of them, in their order: the command line's own come first. */
function withOemStrings(
  command: readonly string[],
  oemStrings: readonly string[],
  release: NonNullable<VmPlan['release']>,
): string[] {
  const own = convertCommand(command, release).vmConfig.platform?.oem_strings?.length ?? 0;
  return mergeOemStrings(command, oemStrings.slice(own), release);
}

/** Undefined where a VM config stands in its place. */
async function launchersCommand({ definition, paths, name }: Vm): Promise<readonly string[] | undefined> {
  if (definition.supervisor !== 'unit' || definition.vmConfig !== undefined) return undefined;
  const command = await readLauncherCommand(name, paths.launcherCommand);
  if (command !== undefined) return command;
  throw new VmsecretdError(
    'state_conflict',
    `VM ${name}: its command is brought by the launcher of ${definition.unit}; start the VM, then ask again`,
    { details: { vm: name } },
  );
}
