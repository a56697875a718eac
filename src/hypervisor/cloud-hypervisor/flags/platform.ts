// --platform

import { integerList, textList } from '../option-lists.js';
import { signed32, unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { text, toggle } from '../option-values.js';

export const platform: OptionTable = {
  keys: {
    num_pci_segments: { value: unsigned(16) },
    iommu_segments: { value: integerList(64, 16) },
    iommu_address_width: { value: unsigned(8), field: 'iommu_address_width_bits' },
    iommufd: { value: toggle },
    iommufd_fd: { value: signed32 },
    vfio_p2p_dma: { value: toggle },
    oem_strings: { value: textList },
    system_manufacturer: { value: text },
    system_product_name: { value: text },
    system_version: { value: text },
    system_serial_number: { value: text },
    system_uuid: { value: text },
    system_sku_number: { value: text },
    system_family: { value: text },
    chassis_asset_tag: { value: text },
    // Older names, which the newer ones outrank.
    serial_number: { value: text, field: null },
    uuid: { value: text, field: null },
  },
  otherBuilds: ['tdx', 'sev_snp'],
  build: ({ fields, values }) => {
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
