// Packs OEM strings for cloud-hypervisor: into the body of vm.create, or into its command line.
import { quoteCommand } from '../../system/quote-command.js';
import type { Packing } from '../hypervisor.js';
import { type EncodedCredential, type Packed, packedOtherwise } from '../packed.js';
import { WHOLE_COMMAND } from '../whole-command.js';
import { writeFifo } from '../write-fifo.js';
import { createVm, requireTaken } from './api-client.js';
import { buildCreateBody } from './create-body.js';
import { buildCommandLine } from './to-command.js';

/** The credentials' buffers may be wiped at once. @throws VmsecretdError credentials_too_large */
export function packCreateBody(
  vm: string,
  { vmConfigText, limitBytes }: Extract<Packing, { kind: 'api' }>,
  credentials: readonly EncodedCredential[],
): Packed {
  const body = buildCreateBody(vm, vmConfigText, credentials, limitBytes);
  return {
    deliver: async destination => {
      if (destination.kind !== 'api') throw packedOtherwise(vm);
      const withoutSecrets = Buffer.from(vmConfigText);
      const api = { vm, ...destination };
      await createVm(api, body, withoutSecrets);
      await requireTaken(api, body);
    },
    wipe: () => body.fill(0),
  };
}

/**
 * The exception: secrets in an argument, which every user of the host can read. A shell becomes this command.
 * @throws VmsecretdError command_invalid
 */
export function packCommandLine(
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
      if (destination.kind !== 'fifo' || path === undefined) throw packedOtherwise(vm);
      await writeFifo(path, command, { timeoutMs: destination.timeoutMs });
    },
    wipe: () => command.fill(0),
  };
}
