// What a definition may ask of each hypervisor. How each is run is src/hypervisor/'s.
export const HYPERVISOR_KINDS = ['cloud-hypervisor', 'qemu'] as const;
export type HypervisorKind = (typeof HYPERVISOR_KINDS)[number];

export const DELIVERY_KINDS = ['api', 'cmdline', 'fifo'] as const;
export type DeliveryKind = (typeof DELIVERY_KINDS)[number];

interface HypervisorRules {
  /** Found by PATH, unless the configuration names another. */
  program: string;
  /** The first is taken where the definition names none. */
  deliveries: readonly [DeliveryKind, ...DeliveryKind[]];
  /** Whether `vmConfig` can stand for `command`. */
  takesVmConfig: boolean;
}

export const HYPERVISORS: Readonly<Record<HypervisorKind, HypervisorRules>> = {
  'cloud-hypervisor': {
    program: 'cloud-hypervisor',
    deliveries: ['api', 'cmdline'],
    takesVmConfig: true,
  },
  qemu: { program: 'qemu-system-x86_64', deliveries: ['fifo'], takesVmConfig: false },
};
