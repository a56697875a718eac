// The hypervisors there are, each with the program that the configuration names.
import { HYPERVISORS } from '../definition/hypervisor-kinds.js';
import { VmsecretdError } from '../errors.js';
import { findProgram } from '../system/find-program.js';
import { createCloudHypervisor, type ReadVmState } from './cloud-hypervisor/cloud-hypervisor.js';
import { nameRelease, REFERENCE_RELEASE, type Release } from './cloud-hypervisor/release.js';
import { readRelease } from './cloud-hypervisor/version.js';
import type { Hypervisor } from './hypervisor.js';
import { createQemu } from './qemu/qemu.js';

type Programs = { readonly [kind in Hypervisor['kind']]?: { path?: string } };

/** @param path what programs are found by @param readVmState as Deliverers.readVmState */
export function createHypervisors(
  programs: Programs,
  path: string,
  readVmState: ReadVmState,
): Record<Hypervisor['kind'], Hypervisor> {
  const locate = async (kind: Hypervisor['kind'], ofDefinition: string | undefined): Promise<string> => {
    const name = ofDefinition ?? programs[kind]?.path ?? HYPERVISORS[kind].program;
    const found = await findProgram(name, path);
    if (found !== undefined) return found;
    const setting =
      ofDefinition === undefined
        ? `set hypervisors.${kind}.path in config.json`
        : 'correct it in the definition';
    throw new VmsecretdError(
      'vmm_missing',
      `${name} is not there or cannot be executed; install ${kind}, or ${setting}`,
      { details: { path: name } },
    );
  };
  return {
    'cloud-hypervisor': createCloudHypervisor(program => locate('cloud-hypervisor', program), readVmState),
    qemu: createQemu(program => locate('qemu', program)),
  };
}

/** Of the cloud-hypervisor that VMs of this host would run on; where there is none, the release that all was measured on. */
export async function installedRelease(programs: Programs, path: string): Promise<Release> {
  const name = programs['cloud-hypervisor']?.path ?? HYPERVISORS['cloud-hypervisor'].program;
  const program = await findProgram(name, path);
  return program === undefined ? REFERENCE_RELEASE : readRelease(program);
}

/** The first whose options and keys are known. */
const FIRST_RELEASE: Release = 44_00;

export interface ProgramVersion {
  /** Such as `53` or `50.1`. */
  version: string;
  /** The version to install in its place; undefined where it will do. */
  upgradeTo: string | undefined;
}

/** @returns undefined where any version will do @throws VmsecretdError vmm_missing: the program cannot be run */
export async function readProgramVersion(
  kind: Hypervisor['kind'],
  program: string,
): Promise<ProgramVersion | undefined> {
  if (kind !== 'cloud-hypervisor') return undefined;
  const release = await readRelease(program);
  const upgradeTo = release < FIRST_RELEASE ? nameShort(REFERENCE_RELEASE) : undefined;
  return { version: nameShort(release), upgradeTo };
}

function nameShort(release: Release): string {
  return nameRelease(release).replace(/\.0$/, '');
}
