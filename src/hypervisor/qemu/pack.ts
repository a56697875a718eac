// Packs OEM strings for QEMU: one FIFO each.
import { checkBudget } from '../../credentials/limits.js';
import type { Packing } from '../hypervisor.js';
import { type EncodedCredential, type Packed, packedOtherwise } from '../packed.js';
import { writeFifo } from '../write-fifo.js';

/**
 * Takes the credentials' buffers over. QEMU reads one FIFO after the other, in the order of its command line.
 * @throws VmsecretdError credentials_too_large
 */
export function packFifos(
  vm: string,
  { limitBytes }: Extract<Packing, { kind: 'fifo' }>,
  staticOemStrings: readonly string[],
  credentials: readonly EncodedCredential[],
): Packed {
  const parts = credentials.map(({ name, oemString }) => ({ label: name, sizeBytes: oemString.length + 1 }));
  const staticBytes = staticOemStrings.reduce((sum, string) => sum + Buffer.byteLength(string) + 1, 0);
  checkBudget(vm, [{ label: 'static OEM strings', sizeBytes: staticBytes }, ...parts], {
    of: 'the SMBIOS tables of QEMU',
    sizeBytes: limitBytes,
  });
  return {
    deliver: async destination => {
      if (destination.kind !== 'fifo' || destination.paths.length !== credentials.length)
        throw packedOtherwise(vm);
      for (const [index, path] of destination.paths.entries()) {
        const bytes = credentials[index]?.oemString ?? Buffer.alloc(0);
        await writeFifo(path, bytes, { timeoutMs: destination.timeoutMs });
      }
    },
    wipe: () => {
      for (const { oemString } of credentials) oemString.fill(0);
    },
  };
}
