// Packs OEM strings for the way they travel, checks that they fit, and hands them over.
import { checkBudget } from '../credentials/limits.js';
import { VmsecretdError } from '../errors.js';
import { createVm } from '../hypervisor/cloud-hypervisor/api-client.js';
import { buildCreateBody, type EncodedCredential } from '../hypervisor/cloud-hypervisor/create-body.js';
import { writeFifo } from '../hypervisor/qemu/fifo-delivery.js';
import type { Destination, Packing } from './protocol.js';

export interface Packed {
  deliver(destination: Destination): Promise<void>;
  wipe(): void;
}

/**
 * Takes the credentials' buffers over for `fifo`; for the others they may be wiped at once.
 * @throws VmsecretdError credentials_too_large
 */
export function packOemStrings(
  vm: string,
  packing: Packing,
  staticOemStrings: readonly string[],
  credentials: readonly EncodedCredential[],
): Packed {
  if (packing.kind === 'api') {
    const body = buildCreateBody(vm, packing.vmConfigText, credentials, packing.limitBytes);
    return {
      deliver: async destination => {
        if (destination.kind !== 'api') throw mismatch(vm);
        const withoutSecrets = Buffer.from(packing.vmConfigText);
        await createVm(vm, destination.socketPath, body, destination.timeoutMs, withoutSecrets);
      },
      wipe: () => body.fill(0),
    };
  }
  if (packing.kind === 'fifo') {
    const parts = credentials.map(({ name, oemString }) => ({
      label: name,
      sizeBytes: oemString.length + 1,
    }));
    const staticBytes = staticOemStrings.reduce((sum, string) => sum + Buffer.byteLength(string) + 1, 0);
    checkBudget(vm, [{ label: 'static OEM strings', sizeBytes: staticBytes }, ...parts], {
      of: 'the SMBIOS tables of QEMU',
      sizeBytes: packing.limitBytes,
    });
    return {
      deliver: async destination => {
        if (destination.kind !== 'fifo') throw mismatch(vm);
        // QEMU reads them one after the other, in the order of its command line.
        for (const [index, { oemString }] of credentials.entries()) {
          const path = destination.paths[index];
          if (path === undefined) throw mismatch(vm);
          await writeFifo(path, oemString, { timeoutMs: destination.timeoutMs });
        }
      },
      wipe: () => {
        for (const { oemString } of credentials) oemString.fill(0);
      },
    };
  }
  throw mismatch(vm);
}

function mismatch(vm: string): VmsecretdError {
  return new VmsecretdError('internal', `VM ${vm}: the delivery does not fit what was prepared`);
}
