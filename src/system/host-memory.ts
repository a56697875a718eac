// What memory the host can still give. Not from /proc/meminfo, which the sandbox of vmsecretd.service hides (ProcSubset=pid).
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const NODES = '/sys/devices/system/node';
const HUGEPAGES = '/sys/kernel/mm/hugepages';

/** What counts as available: free, cached from files, or given back by the kernel on demand. Swap is none for a guest. */
const AVAILABLE = ['MemFree', 'Active(file)', 'Inactive(file)', 'SReclaimable'];

/** @returns bytes; undefined where the kernel does not tell */
export async function readAvailableMemory(folder = NODES): Promise<number | undefined> {
  const names = await readdir(folder).catch(() => []);
  const nodes = names.filter(name => /^node\d+$/.test(name));
  const texts = await Promise.all(
    nodes.map(node => readFile(join(folder, node, 'meminfo'), 'utf8').catch(() => '')),
  );
  const found = texts
    .flatMap(text => [...text.matchAll(/^Node \d+ ([^:]+): +(\d+) kB$/gm)])
    .filter(([, key = '']) => AVAILABLE.includes(key));
  if (found.length === 0) return undefined;
  return found.reduce((total, [, , kibibytes]) => total + Number(kibibytes) * 1024, 0);
}

/** @returns bytes of free pages of this size; undefined where the host has none of it */
export async function readFreeHugepages(pageBytes: number, folder = HUGEPAGES): Promise<number | undefined> {
  const path = join(folder, `hugepages-${pageBytes / 1024}kB`, 'free_hugepages');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text) * pageBytes;
}
