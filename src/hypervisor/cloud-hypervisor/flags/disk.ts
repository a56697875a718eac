// --disk

import { affinity } from '../option-lists.js';
import { unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { oneOf, oneOfExactly, text, toggle } from '../option-values.js';
import { MAIN_AFTER_53 } from '../release.js';
import { PCI_KEYS_WITH_IOMMU } from './pci-device.js';
import { RATE_LIMITER_KEYS, withRateLimiter } from './rate-limiter.js';

const IMAGE_TYPES = { raw: 'Raw', qcow2: 'Qcow2', vhd: 'FixedVhd', vhdx: 'Vhdx', vmdk: 'FlatVmdk' };

export const disk: OptionTable = {
  keys: {
    path: { value: text },
    readonly: { value: toggle },
    direct: { value: toggle },
    num_queues: { value: unsigned(64) },
    queue_size: { value: unsigned(16) },
    vhost_user: { value: toggle },
    socket: { value: text, field: 'vhost_socket' },
    _disable_io_uring: { value: toggle, field: 'disable_io_uring' },
    _disable_aio: { value: toggle, field: 'disable_aio' },
    serial: { value: text },
    rate_limit_group: { value: text },
    queue_affinity: { value: affinity('queue_index', 16) },
    backing_files: { value: toggle, since: 50_01 },
    sparse: { value: toggle, since: 51_00 },
    image_type: { value: oneOf(IMAGE_TYPES, { vmdk: MAIN_AFTER_53 }), since: 50_01, ignoredWith: 'socket' },
    lock_granularity: { value: oneOfExactly({ 'byte-range': 'ByteRange', full: 'Full' }), since: 52_00 },
    guest_block_size: { value: unsigned(32), since: 54_00 },
    ...RATE_LIMITER_KEYS,
    ...PCI_KEYS_WITH_IOMMU,
  },
  build: ({ fields, values }) => withRateLimiter(fields, values),
};
