// The complete command line and VM config of a start, for people: secrets shown as <NAME: size>.
import { bootCredentials } from '../definition/on-demand.js';
import { VmsecretdError } from '../errors.js';
import type { CommandView } from '../hypervisor/hypervisor.js';
import { planVm, type StartTools } from '../vm/start-vm.js';
import type { Vm } from '../vm/vm.js';
import { readLauncherCommand } from './unit/launcher-command.js';

/** @throws VmsecretdError state_conflict: its launcher has not brought the command yet; and what a plan throws */
export async function showCommand(vm: Vm, tools: StartTools): Promise<CommandView> {
  const { definition, paths, running } = vm;
  const command = definition.supervisor === 'unit' ? await commandOfUnit(vm) : definition.command;
  const plan =
    running?.plan ??
    (await planVm(tools, {
      definition,
      paths,
      ownsConsole: definition.supervisor === 'daemon',
      ...(command === undefined ? {} : { command }),
    }));
  const sizes = new Map(running?.credentials.map(({ name, sizeBytes }) => [name, `${sizeBytes} bytes`]));
  return plan.view(
    Object.keys(bootCredentials(definition.credentials)).map(
      name =>
        `io.systemd.credential.binary:${name}=<${name}: ${sizes.get(name) ?? 'size known once started'}>`,
    ),
  );
}

/** What its launcher was given counts, as it does at a start. @returns undefined where a VM config stands in its place */
async function commandOfUnit({ definition, paths, name }: Vm): Promise<readonly string[] | undefined> {
  const command = (await readLauncherCommand(name, paths.launcherCommand)) ?? definition.command;
  if (command !== undefined || definition.vmConfig !== undefined) return command;
  throw new VmsecretdError(
    'state_conflict',
    `VM ${name}: its command is brought by the launcher of ${definition.unit}; start the VM, then ask again`,
    { details: { vm: name } },
  );
}
