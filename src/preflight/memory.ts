// Whether the host has the memory that a VM may come to use. Only a check asks: the kernel gives memory as a guest touches it, so a start
// on a host that is full goes well, and what is too much ends some VM later.
import type { VmsecretdError } from '../errors.js';
import type { HostNeeds } from '../hypervisor/host-needs.js';
import { readAvailableMemory, readFreeHugepages } from '../system/host-memory.js';
import { refused } from './host-look.js';

/** x86_64's own, and Linux' default there. */
const HUGEPAGE_BYTES = 2 * 1024 * 1024;

/** @returns what stands in the way, or what was found */
export async function checkMemory(
  vm: string,
  memory: NonNullable<HostNeeds['memory']>,
): Promise<VmsecretdError | string> {
  const found: string[] = [];
  for (const [pageBytes, bytes] of sumByPage(memory)) {
    const isPlain = pageBytes === 0;
    const free = isPlain ? await readAvailableMemory() : ((await readFreeHugepages(pageBytes)) ?? 0);
    if (free === undefined) return 'not looked at: the kernel does not tell how much memory is available';
    const kind = isPlain ? 'memory' : `memory in pages of ${inUnits(pageBytes)}`;
    const said = `${inUnits(bytes)} of ${kind}, ${inUnits(free)} available`;
    found.push(said);
    if (bytes <= free) continue;
    const remedy = isPlain
      ? 'give it less, stop another VM, or add memory'
      : `reserve more: sysctl vm.nr_hugepages, or /sys/kernel/mm/hugepages/hugepages-${pageBytes / 1024}kB/nr_hugepages`;
    return refused(vm, `it needs ${said}; ${remedy}`, {
      neededBytes: String(bytes),
      availableBytes: String(free),
    });
  }
  return found.join('; ');
}

function sumByPage(memory: NonNullable<HostNeeds['memory']>): Map<number, number> {
  const sums = new Map<number, number>();
  for (const { bytes, hugepages } of memory) {
    const page = hugepages === undefined ? 0 : (hugepages.bytes ?? HUGEPAGE_BYTES);
    sums.set(page, (sums.get(page) ?? 0) + bytes);
  }
  return sums;
}

function inUnits(bytes: number): string {
  const [unit, name] = bytes >= 1024 ** 3 ? [1024 ** 3, 'GiB'] : [1024 ** 2, 'MiB'];
  return `${Math.round((bytes / unit) * 10) / 10} ${name}`;
}
