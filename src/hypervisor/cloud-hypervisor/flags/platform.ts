// --platform

import { integerList, textList } from '../option-lists.js';
import { signed32, unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { text, toggle } from '../option-values.js';
import type { Release } from '../release.js';
import { keysSince } from './pci-device.js';

const SYSTEM_KEYS_SINCE: Release = 53_00;

export const platform: OptionTable = {
  keys: {
    num_pci_segments: { value: unsigned(16) },
    iommu_segments: { value: integerList(64, 16) },
    iommu_address_width: { value: unsigned(8), field: 'iommu_address_width_bits' },
    iommufd: { value: toggle, since: 52_00 },
    iommufd_fd: { value: signed32, since: 53_00 },
    vfio_p2p_dma: { value: toggle, since: 52_00 },
    oem_strings: { value: textList },
    ...keysSince(SYSTEM_KEYS_SINCE, {
      system_manufacturer: { value: text },
      system_product_name: { value: text },
      system_version: { value: text },
      system_serial_number: { value: text, instead: 'use "serial_number="' },
      system_uuid: { value: text, instead: 'use "uuid="' },
      system_sku_number: { value: text },
      system_family: { value: text },
      chassis_asset_tag: { value: text },
    }),
    // The names before, which the newer ones outrank.
    serial_number: { value: text, field: null },
    uuid: { value: text, field: null },
  },
  otherBuilds: ['tdx', 'sev_snp'],
  build: ({ fields, values, reading }) => {
    if (reading.release < SYSTEM_KEYS_SINCE) {
      const { serial_number, uuid } = values;
      return {
        ...fields,
        ...(serial_number !== undefined && { serial_number }),
        ...(uuid !== undefined && { uuid }),
      };
    }
    const serialNumber = fields.system_serial_number ?? values.serial_number;
    const uuid = fields.system_uuid ?? values.uuid;
    return {
      ...fields,
      ...(serialNumber !== undefined && { system_serial_number: serialNumber }),
      ...(uuid !== undefined && { system_uuid: uuid }),
      ...(fields.iommufd_fd !== undefined && { iommufd: fields.iommufd ?? true }),
    };
  },
};
