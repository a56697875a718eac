// The keys that every PCI device has.

import { unsigned } from '../option-numbers.js';
import type { KeyRule } from '../option-table.js';
import { oneOf, text, toggle, type ValueKind } from '../option-values.js';
import type { Release } from '../release.js';

/** For devices that cannot sit behind a virtual IOMMU. */
export const PCI_KEYS = {
  id: { value: text },
  pci_segment: { value: unsigned(16) },
  pci_device_id: { value: unsigned(8), since: 52_00 },
} satisfies Record<string, KeyRule>;

/** `on` stays true, which every release takes; the kinds of IOMMU have names of their own from 54.0 on. */
function iommu(kinds: Readonly<Record<string, string>>): ValueKind {
  const since = Object.fromEntries(Object.keys(kinds).map(kind => [kind, 54_00]));
  const kind = oneOf(kinds, since);
  return {
    expected: `on, off, true or false${kind.expected}`,
    parse: (raw, reading) => toggle.parse(raw, reading) ?? kind.parse(raw, reading),
  };
}

export const IOMMU: KeyRule = { value: iommu({ virtio: 'Virtio' }), omitFalse: true };
export const DEVICE_IOMMU: KeyRule = {
  value: iommu({ virtio: 'Virtio', smmuv3: 'Smmuv3' }),
  omitFalse: true,
};

export const PCI_KEYS_WITH_IOMMU = { ...PCI_KEYS, iommu: IOMMU } satisfies Record<string, KeyRule>;

/** Keys that a flag has had since that release only. */
export function keysSince(since: Release, keys: Readonly<Record<string, KeyRule>>): Record<string, KeyRule> {
  return Object.fromEntries(Object.entries(keys).map(([key, rule]) => [key, { ...rule, since }]));
}
