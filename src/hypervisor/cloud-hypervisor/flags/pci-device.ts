// The keys that every PCI device has.

import { unsigned } from '../option-numbers.js';
import type { KeyRule } from '../option-table.js';
import { text, toggle } from '../option-values.js';

/** For devices that cannot sit behind the virtual IOMMU. */
export const PCI_KEYS = {
  id: { value: text },
  pci_segment: { value: unsigned(16) },
  pci_device_id: { value: unsigned(8) },
} satisfies Record<string, KeyRule>;

export const PCI_KEYS_WITH_IOMMU = {
  ...PCI_KEYS,
  iommu: { value: toggle, omitFalse: true },
} satisfies Record<string, KeyRule>;
