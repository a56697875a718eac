// Packs OEM strings for the way they travel, checks that they fit, and hands them over.
import { checkBudget } from '../credentials/limits.js';
import { VmsecretdError } from '../errors.js';
import { createVm, requireTaken } from '../hypervisor/cloud-hypervisor/api-client.js';
import { buildCreateBody, type EncodedCredential } from '../hypervisor/cloud-hypervisor/create-body.js';
import { quoteCommand } from '../hypervisor/cloud-hypervisor/quote-command.js';
import { buildCommandLine } from '../hypervisor/cloud-hypervisor/to-command.js';
import type { Destination, Packing } from '../hypervisor/hypervisor.js';
import { WHOLE_COMMAND } from '../hypervisor/whole-command.js';
import { writeFifo } from './write-fifo.js';

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
        const api = { vm, ...destination };
        await createVm(api, body, withoutSecrets);
        await requireTaken(api, body);
      },
      wipe: () => body.fill(0),
    };
  }
  if (packing.kind === 'cmdline') return packCommandLine(vm, packing, credentials);
  return packFifos(vm, packing.limitBytes, staticOemStrings, credentials);
}

/** QEMU reads one FIFO after the other, in the order of its command line. */
function packFifos(
  vm: string,
  limitBytes: number,
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
      if (destination.kind !== 'fifo' || destination.paths.length !== credentials.length) throw mismatch(vm);
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

/** The exception: secrets in an argument, which every user of the host can read. A shell becomes this command. */
function packCommandLine(
  vm: string,
  { program, argv, oemStrings, release }: Extract<Packing, { kind: 'cmdline' }>,
  credentials: readonly EncodedCredential[],
): Packed {
  const secrets = credentials.map(({ oemString }) => oemString.toString('latin1'));
  const words = quoteCommand([program, ...buildCommandLine(argv, [...oemStrings, ...secrets], release)]);
  const command = Buffer.from(`${words}${WHOLE_COMMAND}`);
  return {
    deliver: async destination => {
      const path = destination.kind === 'fifo' ? destination.paths[0] : undefined;
      if (destination.kind !== 'fifo' || path === undefined) throw mismatch(vm);
      await writeFifo(path, command, { timeoutMs: destination.timeoutMs });
    },
    wipe: () => command.fill(0),
  };
}

function mismatch(vm: string): VmsecretdError {
  return new VmsecretdError('internal', `VM ${vm}: the delivery does not fit what was prepared`);
}
