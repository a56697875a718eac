// OEM strings that are ready to be handed over.
import { VmsecretdError } from '../errors.js';
import type { Destination } from './hypervisor.js';

export interface EncodedCredential {
  name: string;
  /** `io.systemd.credential.binary:NAME=base64`. */
  oemString: Buffer;
}

export interface Packed {
  deliver(destination: Destination): Promise<void>;
  wipe(): void;
}

export function packedOtherwise(vm: string): VmsecretdError {
  return new VmsecretdError('internal', `VM ${vm}: the delivery does not match what was prepared`);
}
