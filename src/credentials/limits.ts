// How much room a VM's OEM strings may take, since nothing after us checks it; definition/oem-strings.ts has the other rules.
import { VmsecretdError } from '../errors.js';

/**
 * cloud-hypervisor puts its SMBIOS tables at 0xf0000 with RAM going on at 0x100000, and checks nothing.
 * Set aside for the rest: entry point, types 0, 1, 3 and 127, and an MP table of 254 CPUs (20 bytes each).
 */
export const SMBIOS_AREA_BYTES = 65_536 - 8_192;

/** One page, which is all that systemd 252 reads of the structure (docs/compatibility.md); its header takes five bytes. */
const FIRST_PAGE_BYTES = 4_096 - 5;

/** For people: what an old guest cannot read, or undefined. `sizesBytes` are those of all OEM strings, without their NULs. */
export function warnOfFirstPage(sizesBytes: readonly number[]): string | undefined {
  const usedBytes = sizesBytes.reduce((sum, sizeBytes) => sum + sizeBytes + 1, 0);
  if (usedBytes <= FIRST_PAGE_BYTES) return undefined;
  return `the OEM strings have ${usedBytes} bytes; systemd 252 (Debian 12) in a guest reads ${FIRST_PAGE_BYTES} and says nothing of the rest: install the guest parts there, and set "ready": "receipt" to be told`;
}

export interface BudgetPart {
  label: string;
  sizeBytes: number;
}

/**
 * Checks a sum of sizes, telling how much each part uses.
 * @param limit.of what has the limit, such as "the body of vm.create"
 * @throws VmsecretdError credentials_too_large
 */
export function checkBudget(
  vm: string,
  parts: readonly BudgetPart[],
  limit: { of: string; sizeBytes: number },
): void {
  const usedBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  if (usedBytes <= limit.sizeBytes) return;
  const largestFirst = parts.toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  const shown = largestFirst.slice(0, 5).map(part => `${part.label} ${part.sizeBytes}`);
  const rest =
    largestFirst.length > shown.length ? `, ${largestFirst.length - shown.length} smaller ones` : '';
  throw new VmsecretdError(
    'credentials_too_large',
    `VM ${vm}: ${usedBytes} bytes do not fit into ${limit.of} (${limit.sizeBytes} bytes): ${shown.join(', ')}${rest}; deliver large values another way, such as an encrypted disk whose key is the credential`,
    { details: { vm, usedBytes, limitBytes: limit.sizeBytes } },
  );
}
