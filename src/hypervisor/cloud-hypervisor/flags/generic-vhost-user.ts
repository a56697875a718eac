// --generic-vhost-user: a virtio device by its type's name or number.

import { quoteValue } from '../../../definition/command-error.js';
import type { JsonObject, JsonValue } from '../../exact-json.js';
import { integerList } from '../option-lists.js';
import { readFitting } from '../option-numbers.js';
import { removeQuotes } from '../option-string.js';
import type { OptionTable, ReadOption } from '../option-table.js';
import { nameTable, text } from '../option-values.js';
import { PCI_KEYS } from './pci-device.js';

/** The device ids of the virtio specification, by the program's names. */
const DEVICE_TYPES = nameTable<number>({
  net: 1,
  block: 2,
  console: 3,
  rng: 4,
  balloon: 5,
  iomem: 6,
  rpmsg: 7,
  scsi: 8,
  '9p': 9,
  mac80211_wlan: 10,
  rproc_serial: 11,
  caif: 12,
  memory_balloon: 13,
  gpu: 16,
  clock: 17,
  input: 18,
  vsock: 19,
  crypto: 20,
  signal_dist: 21,
  pstore: 22,
  iommu: 23,
  mem: 24,
  sound: 25,
  fs: 26,
  pmem: 27,
  rpmb: 28,
  mac80211_hwsim: 29,
  video_encoder: 30,
  video_decoder: 31,
  scmi: 32,
  nitro_sec_mod: 33,
  i2c: 34,
  watchdog: 35,
  can: 36,
  dmabuf: 37,
  param_serv: 38,
  audio_policy: 39,
  bt: 40,
  gpio: 41,
  rdma: 42,
  camera: 43,
  ism: 44,
  spi: 45,
  tee: 46,
  cpu_balloon: 47,
  media: 48,
  usb: 49,
});

/** These cannot work over vhost-user, and the program says so. */
const UNSUPPORTED = [DEVICE_TYPES.watchdog, DEVICE_TYPES.iommu];

export const genericVhostUser: OptionTable = {
  keys: {
    socket: { value: text, required: true },
    queue_sizes: { value: integerList(16), required: true },
    device_type: { value: text, field: null, since: 53_00, instead: 'use "virtio_id="' },
    // Its older name, which the newer one outranks.
    virtio_id: { value: text, field: null },
    ...PCI_KEYS,
  },
  build: buildGenericVhostUser,
};

function buildGenericVhostUser({ fields, values, reading, fail }: ReadOption): JsonObject {
  const name = values.device_type ?? values.virtio_id;
  const key = reading.release < 53_00 ? 'virtio_id' : 'device_type';
  if (typeof name !== 'string') return fail(`"${key}=" is missing.`, key);
  const deviceType = DEVICE_TYPES[name] ?? readNumber(name);
  if (deviceType === undefined) {
    fail(`${key}=${quoteValue(name)} is no virtio device type: it takes a number or a name such as fs.`, key);
  }
  if (UNSUPPORTED.some(type => type === deviceType)) {
    fail(`${key}=${quoteValue(name)} cannot work over vhost-user.`, key);
  }
  return { ...fields, device_type: deviceType };
}

function readNumber(name: string): JsonValue | undefined {
  return /^[1-9]/.test(name) ? readFitting(removeQuotes(name), 32) : undefined;
}
