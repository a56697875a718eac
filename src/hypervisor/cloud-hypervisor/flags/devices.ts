// The options that are little more than a list of keys.

import { integerList } from '../option-lists.js';
import { signed32, size, unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { text, toggle } from '../option-values.js';
import { DEVICE_IOMMU, IOMMU, keysSince, PCI_KEYS, PCI_KEYS_WITH_IOMMU } from './pci-device.js';

/** The virtio specification's limit. */
const LONGEST_TAG_BYTES = 36;

export const rng: OptionTable = {
  keys: {
    src: { value: text, fallback: '/dev/urandom' },
    iommu: IOMMU,
    ...keysSince(52_00, PCI_KEYS),
  },
};

export const rtc: OptionTable = { keys: PCI_KEYS_WITH_IOMMU };

export const balloon: OptionTable = {
  keys: {
    size: { value: size, fallback: 0 },
    deflate_on_oom: { value: toggle },
    free_page_reporting: { value: toggle },
    ...keysSince(53_00, PCI_KEYS_WITH_IOMMU),
  },
};

export const fs: OptionTable = {
  keys: {
    tag: { value: text, required: true },
    socket: { value: text, required: true },
    num_queues: { value: unsigned(64) },
    queue_size: { value: unsigned(16) },
    ...PCI_KEYS,
  },
  build: ({ fields, fail }) => {
    if (Buffer.byteLength(fields.tag as string) > LONGEST_TAG_BYTES) {
      fail(`"tag" is longer than ${LONGEST_TAG_BYTES} bytes.`, 'tag');
    }
    return fields;
  },
};

export const pmem: OptionTable = {
  keys: {
    file: { value: text, required: true },
    size: { value: size },
    discard_writes: { value: toggle },
    ...PCI_KEYS_WITH_IOMMU,
  },
};

export const device: OptionTable = {
  keys: {
    path: { value: text, required: { until: 53_00 } },
    fd: { value: signed32, since: 53_00 },
    x_nv_gpudirect_clique: { value: unsigned(8) },
    x_exclude_mmap_bars: { value: integerList(64), since: 52_00 },
    ...PCI_KEYS,
    iommu: DEVICE_IOMMU,
  },
};

export const userDevice: OptionTable = { keys: { socket: { value: text, required: true }, ...PCI_KEYS } };

export const vdpa: OptionTable = {
  keys: {
    path: { value: text, required: true },
    num_queues: { value: unsigned(64) },
    ...PCI_KEYS_WITH_IOMMU,
  },
};

export const vsock: OptionTable = {
  keys: {
    cid: { value: unsigned(32), required: true },
    socket: { value: text, required: true },
    ...PCI_KEYS_WITH_IOMMU,
  },
};

export const tpm: OptionTable = { keys: { socket: { value: text, required: true } } };

export const sgxEpc: OptionTable = {
  keys: {
    id: { value: text, required: true },
    size: { value: size },
    prefault: { value: toggle },
  },
};

export const pciSegment: OptionTable = {
  keys: {
    pci_segment: { value: unsigned(16) },
    mmio32_aperture_weight: { value: unsigned(32) },
    mmio64_aperture_weight: { value: unsigned(32) },
  },
};

export const landlockRule: OptionTable = {
  keys: { path: { value: text, required: true }, access: { value: text, required: true } },
  build: ({ fields, fail }) => {
    if ([...(fields.access as string)].length > 2) fail('"access" takes r, w or rw.', 'access');
    return fields;
  },
};
