import type { CredentialSource } from './credential-source.js';
import type { DeliveryKind, HypervisorKind } from './hypervisor-kinds.js';
import { HYPERVISORS } from './hypervisor-kinds.js';
import { DEFAULTS, type DefinitionFile, type ORIGINS, type SUPERVISOR_KINDS } from './schema.js';

export type { CredentialSource, DeliveryKind, HypervisorKind };
export type SupervisorKind = (typeof SUPERVISOR_KINDS)[number];

/** Whose a definition is, and where it is kept. */
export interface DefinitionPlace {
  readonly name: string;
  readonly origin: (typeof ORIGINS)[number];
  readonly path: string;
}

/** As declared, with command lines split and paths absolute. */
export interface DeclaredVm extends Omit<DefinitionFile, 'command' | 'preStart'> {
  /** Absent with `vmConfig`, or where a launcher brings it. */
  command?: string[];
  preStart?: string[][];
}

type Defaulted = keyof typeof DEFAULTS | 'delivery' | 'supervisor' | 'unit';

/** What an operator declares of a VM: valid, every default filled in, every path absolute. */
export type Definition = DefinitionPlace &
  Readonly<Omit<DeclaredVm, Defaulted> & Required<Pick<DeclaredVm, Defaulted>>>;

/** @param defaultSupervisor of VMs that may have any */
export function completeDefinition(
  declared: DeclaredVm,
  { name, origin, path }: DefinitionPlace,
  defaultSupervisor: SupervisorKind,
): Definition {
  const hypervisor = declared.hypervisor ?? DEFAULTS.hypervisor;
  const { deliveries } = HYPERVISORS[hypervisor];
  const delivery = declared.delivery ?? deliveries[0];
  return {
    ...DEFAULTS,
    // A launcher gets no secret, so a whole command line stays with the daemon.
    supervisor: delivery === 'cmdline' ? 'daemon' : defaultSupervisor,
    unit: `microvm@${name}.service`,
    ...declared,
    delivery,
    name,
    origin,
    path,
  };
}
