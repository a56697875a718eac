// --net. A MAC address that is not given is drawn at random by the program, so it stays out of the VM config.

import { ipAddress } from '../ip-address.js';
import { integerList } from '../option-lists.js';
import { unsigned } from '../option-numbers.js';
import type { OptionTable } from '../option-table.js';
import { macAddress, oneOf, text, toggle } from '../option-values.js';
import { PCI_KEYS_WITH_IOMMU } from './pci-device.js';
import { RATE_LIMITER_KEYS, withRateLimiter } from './rate-limiter.js';

export const net: OptionTable = {
  keys: {
    tap: { value: text },
    ip: { value: ipAddress },
    mask: { value: ipAddress },
    mac: { value: macAddress },
    host_mac: { value: macAddress },
    mtu: { value: unsigned(16) },
    num_queues: { value: unsigned(64) },
    queue_size: { value: unsigned(16) },
    vhost_user: { value: toggle },
    socket: { value: text, field: 'vhost_socket' },
    vhost_mode: { value: oneOf({ client: 'Client', server: 'Server' }) },
    fd: { value: integerList(64, 32), field: 'fds' },
    offload_tso: { value: toggle },
    offload_ufo: { value: toggle },
    offload_csum: { value: toggle },
    ...RATE_LIMITER_KEYS,
    ...PCI_KEYS_WITH_IOMMU,
  },
  build: ({ fields, values }) => withRateLimiter(fields, values),
};
