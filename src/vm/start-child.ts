// Starts a VM whose VMM is a child of the daemon.
//
// INVARIANT: a VMM that was spawned is given back with its guest running, or it has ended.
import type { Definition } from '../definition/definition.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { readLastWords } from '../supervisor/daemon-child.js';
import type { VmmProcess } from '../supervisor/vmm-process.js';
import type { UserIds } from '../system/users.js';
import { keepRecord } from './record.js';
import { type RunningVm, type StartTools, startVm } from './start-vm.js';
import type { Vm } from './vm.js';

export interface StartChildTools {
  startTools(): StartTools;
  /** Who the VMM runs as; undefined for the daemon's own user. */
  resolveOwner(): Promise<UserIds | undefined>;
  prepareDirectory(plan: VmPlan, owner: UserIds | undefined): Promise<void>;
  spawnVmm(
    definition: Definition,
    plan: VmPlan,
    owner: UserIds | undefined,
    signal: AbortSignal,
  ): Promise<VmmProcess>;
}

export async function startChild(vm: Vm, tools: StartChildTools, signal: AbortSignal): Promise<RunningVm> {
  // The one it was asked for: another may come while it starts.
  const { definition } = vm;
  const owner = await tools.resolveOwner();
  const prepareDirectory = (plan: VmPlan) => tools.prepareDirectory(plan, owner);
  const spawn = (plan: VmPlan, both: AbortSignal) => tools.spawnVmm(definition, plan, owner, both);
  let spawned: Promise<VmmProcess> | undefined;
  try {
    return await startVm(tools.startTools(), {
      definition,
      paths: vm.paths,
      console: vm.console,
      ownsConsole: true,
      onPlanned: (plan, both) => {
        if (!waitsForItsVm(definition, plan)) return;
        spawned = prepareDirectory(plan).then(() => spawn(plan, both));
        // Told by who waits for it, unless a secret fails first.
        spawned.catch(() => {});
      },
      onPrepared: ({ credentials }, notes) => vm.credentialsPrepared(credentials, notes),
      obtainVmm: async ({ plan, ...prepared }, both) => {
        await (spawned ?? prepareDirectory(plan));
        // QEMU connects to them as it is spawned.
        await vm.reports.open(plan.channels, prepared.credentials, owner);
        spawned ??= spawn(plan, both);
        const vmm = await spawned;
        // Nobody would find it again without.
        await keepRecord(vm, { ...plan, ...prepared, vmm }, 'starting');
        return vmm;
      },
      readLastWords: async () => (spawned === undefined ? '' : readLastWords(vm.paths.vmmLog)),
      signal,
    });
  } catch (error) {
    const vmm = await spawned?.catch(() => undefined);
    vmm?.kill('SIGKILL');
    await vmm?.exited;
    throw error;
  }
}

/**
 * Whether the VMM may start while secrets are opened: cloud-hypervisor's has no VM until it is given one with all of them.
 * What preStart does cannot be undone, so it comes after the secrets, and the VMM after it.
 */
function waitsForItsVm({ preStart }: Definition, { packing }: VmPlan): boolean {
  return packing.kind === 'api' && preStart.length === 0;
}
