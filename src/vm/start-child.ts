// Starts a VM whose VMM is a child of the daemon.
//
// INVARIANT: a VMM that was spawned is given back with its guest running, or it has ended.
import type { Definition } from '../definition/definition.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import type { VmmProcess } from '../supervisor/vmm-process.js';
import type { UserIds } from '../system/users.js';
import { keepRecord } from './record.js';
import { type PreparedVm, type RunningVm, type StartTools, startVm } from './start-vm.js';
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
  const openReports = ({ plan, credentials }: PreparedVm) =>
    vm.reports.open(plan.channels, credentials, owner);
  let early: Promise<VmmProcess> | undefined;
  try {
    return await startVm(tools.startTools(), {
      definition,
      paths: vm.paths,
      console: vm.console,
      ownsConsole: true,
      onPlanned: (plan, both) => {
        if (!waitsForItsVm(definition, plan)) return;
        early = prepareDirectory(plan).then(() => spawn(plan, both));
        // Told by who waits for it, unless a secret fails first.
        early.catch(() => {});
      },
      onPrepared: ({ credentials }, notes) => vm.credentialsPrepared(credentials, notes),
      obtainVmm: async (prepared, both) => {
        if (early === undefined) await prepareDirectory(prepared.plan);
        const vmm = await early;
        await openReports(prepared);
        return keepSpawned(vm, prepared, vmm ?? (await spawn(prepared.plan, both)));
      },
      signal,
    });
  } catch (error) {
    await end(await early?.catch(() => undefined));
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

async function keepSpawned(vm: Vm, { plan, ...prepared }: PreparedVm, vmm: VmmProcess): Promise<VmmProcess> {
  try {
    await keepRecord(vm, { ...plan, ...prepared, vmm }, 'starting');
    return vmm;
  } catch (error) {
    // Nobody would find it again.
    await end(vmm);
    throw error;
  }
}

async function end(vmm: VmmProcess | undefined): Promise<void> {
  vmm?.kill('SIGKILL');
  await vmm?.exited;
}
