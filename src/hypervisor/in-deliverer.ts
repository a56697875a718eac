// What of the hypervisors runs in the deliverer, the only process that may have OEM strings with secrets, or see what a VMM
// says of a VM that has them.
import { readVmState } from './cloud-hypervisor/api-client.js';
import { writeVmConfig } from './cloud-hypervisor/create-body.js';
import { packCommandLine, packCreateBody } from './cloud-hypervisor/pack.js';
import { playVmm } from './cloud-hypervisor/played-vmm.js';
import type { Destination, Packing, VmmApi } from './hypervisor.js';
import type { EncodedCredential, Packed } from './packed.js';
import { packFifos } from './qemu/pack.js';

export { readVmState };

/**
 * Packs OEM strings for the way they travel, and checks that they fit. Takes the credentials' buffers over.
 * @throws VmsecretdError credentials_too_large, command_invalid
 */
export function packOemStrings(
  vm: string,
  packing: Packing,
  staticOemStrings: readonly string[],
  credentials: readonly EncodedCredential[],
): Packed {
  if (packing.kind === 'api') return packCreateBody(vm, packing, credentials);
  if (packing.kind === 'cmdline') return packCommandLine(vm, packing, credentials);
  return packFifos(vm, packing, staticOemStrings, credentials);
}

/** For a delivery that warms the process up: a VM config without a secret, and a VMM that is played in this process. */
export const WARM_UP: { packing: Packing; destination: Destination & Pick<VmmApi, 'connect'> } = {
  packing: { kind: 'api', vmConfigText: writeVmConfig({}), limitBytes: 1024 },
  destination: { kind: 'api', socketPath: '', timeoutMs: 1_000, connect: playVmm() },
};
