// The complete command line and VM config of a start, for people: secrets shown as <NAME: size>.

import { mergeOemStrings } from '../hypervisor/cloud-hypervisor/to-command.js';
import type { JsonObject } from '../hypervisor/cloud-hypervisor/vm-config.js';
import { planVm, type StartTools } from './start-vm.js';
import type { Vm } from './vm.js';

export interface CommandView {
  /** What a person would type; the VMM's own program first. */
  command: readonly string[];
  vmConfig: JsonObject | null;
  /** What the VMM is really started with. */
  arguments: readonly string[];
}

export async function showCommand(vm: Vm, tools: StartTools): Promise<CommandView> {
  const { definition, paths } = vm;
  const plan =
    vm.running?.plan ??
    (await planVm(tools, { definition, paths, ownsConsole: definition.supervisor === 'daemon' }));
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
      ...mergeOemStrings(definition.command ?? [], [...definition.oemStrings, ...placeholders], plan.release),
    ],
    vmConfig:
      oemStrings.length === 0
        ? vmConfig
        : { ...vmConfig, platform: { ...vmConfig.platform, oem_strings: oemStrings } },
    arguments: plan.arguments,
  };
}
