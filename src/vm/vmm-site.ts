// Where and as whom a VMM will run: what decides whether it finds and may use what it needs of the host.
import { access, constants } from 'node:fs/promises';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import type { ProcessFacts } from '../system/procfs.js';
import { canUserOpen } from '../system/run-as.js';
import { resolveUser } from '../system/users.js';
import type { Vm } from './vm.js';

export interface VmmSite {
  vm: string;
  program: string;
  workingDirectory: string;
  /** A process with the VMM's view of files and network, which a hardened daemon does not share; undefined: ours. */
  viewOf: number | undefined;
  /** Root's VMM makes a tap that is missing. */
  isRoot: boolean;
  /** Something runs before the VMM and may make what is missing now. */
  isPrepared: boolean;
  /** Whether the VMM may open a file to read and write. */
  canOpen(path: string): Promise<boolean>;
}

export interface SiteOptions {
  plan: VmPlan;
  /** A unit's process that is to become the VMM; undefined before there is one. */
  launcher?: ProcessFacts | undefined;
  /** As the daemon would spawn it, where the definition says nothing. */
  user: string | undefined;
  group: string | undefined;
}

/** @throws VmsecretdError definition_invalid: no such user */
export async function describeSite({ definition, paths }: Vm, options: SiteOptions): Promise<VmmSite> {
  const { plan, launcher } = options;
  const { vm, program } = plan;
  if (definition.supervisor === 'unit') {
    const workingDirectory = launcher?.workingDirectory ?? definition.workingDirectory ?? '/';
    return {
      vm,
      program,
      workingDirectory,
      viewOf: launcher?.pid,
      isRoot: launcher === undefined || launcher.uid === 0,
      isPrepared: launcher === undefined,
      // Groups, devices and capabilities are the unit's own.
      canOpen: () => Promise.resolve(true),
    };
  }
  const ids = await resolveUser(vm, definition.user ?? options.user, definition.group ?? options.group);
  return {
    vm,
    program,
    workingDirectory: definition.workingDirectory ?? paths.directory,
    viewOf: undefined,
    isRoot: (ids?.uid ?? process.getuid?.()) === 0,
    isPrepared: definition.preStart.length > 0,
    canOpen: path => (ids === undefined ? canOpenOurselves(path) : canUserOpen(ids, path)),
  };
}

function canOpenOurselves(path: string): Promise<boolean> {
  return access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}
