// What a VM needs of its host, as its plan tells: things only one VM may have, and things that must be there.

import type { Static } from 'typebox';
import type { VmsecretdError } from '../errors.js';
import type { HostClaimSchema } from './schemas.js';

export type HostClaim = Static<typeof HostClaimSchema>;

export interface HostNeeds {
  claims: readonly HostClaim[];
  /** `what` as in "kernel /boot/vmlinux does not exist". */
  files: readonly { what: string; path: string; isWritten?: boolean }[];
  /** Where another program must listen already. */
  sockets: readonly { what: string; path: string }[];
  /** Files that the VMM makes, in folders that must be there; where not, it says so without their names. */
  outputs: readonly { what: string; path: string }[];
  needsKvm: boolean;
  /** Of the guest; `hugepages` where it is in such, of the host's default size unless told. */
  memory?: readonly { bytes: number; hugepages?: { bytes: number | undefined } }[];
}

/** How a host meets them. */
export interface HostReport {
  /** Each keeps the VM from starting. */
  problems: VmsecretdError[];
  /** What was not looked at, each with its reason. */
  unseen: string[];
}

/** Whether a claim is a socket on which the VMM listens. */
export function isListened({ kind }: HostClaim): boolean {
  return kind === 'vsock socket' || kind === 'serial socket';
}
