// --numa

import { distances, integerList, textList } from '../option-lists.js';
import { unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { changedIn, text } from '../option-values.js';

export const numa: OptionTable = {
  keys: {
    guest_numa_id: { value: unsigned(32), required: { since: 51_00 } },
    cpus: { value: changedIn(48_00, integerList(64, 8), integerList(64, 32)) },
    distances: { value: distances },
    device_id: { value: text, since: 51_00 },
    memory_zones: { value: textList },
    pci_segments: { value: integerList(64, 16) },
    sgx_epc_sections: { value: textList, until: 48_00 },
  },
  build: ({ fields, fail }) => {
    if (fields.device_id !== undefined && (fields.cpus !== undefined || fields.memory_zones !== undefined)) {
      fail('"device_id" does not go with "cpus" or "memory_zones".', 'device_id');
    }
    return fields;
  },
};
