// --memory and --memory-zone: the zones become part of the memory, and take `mergeable` over from it.

import { size, unsigned } from '../option-numbers.js';
import type { KeyRule, OptionTable } from '../option-table.js';
import { oneOf, text, toggle } from '../option-values.js';
import type { Release } from '../release.js';

const DEFAULT_SIZE_BYTES = 512 * 1024 * 1024;

/** Before, it was the memory's alone. */
export const ZONES_MERGEABLE_SINCE: Release = 52_00;

const SHARED_KEYS: Readonly<Record<string, KeyRule>> = {
  size: { value: size, fallback: DEFAULT_SIZE_BYTES },
  shared: { value: toggle },
  hugepages: { value: toggle },
  hugepage_size: { value: size },
  hotplug_size: { value: size },
  hotplugged_size: { value: size },
  prefault: { value: toggle },
  reserve: { value: toggle, since: 53_00 },
};

export const memory: OptionTable = {
  keys: {
    ...SHARED_KEYS,
    mergeable: { value: toggle },
    // The program takes a file here, and makes nothing of it.
    file: { value: text, field: null },
    hotplug_method: { value: oneOf({ acpi: 'Acpi', 'virtio-mem': 'VirtioMem' }) },
    thp: { value: toggle },
  },
};

export const memoryZone: OptionTable = {
  keys: {
    ...SHARED_KEYS,
    mergeable: { value: toggle, since: ZONES_MERGEABLE_SINCE },
    id: { value: text, required: true },
    file: { value: text },
    host_numa_node: { value: unsigned(32) },
  },
};
