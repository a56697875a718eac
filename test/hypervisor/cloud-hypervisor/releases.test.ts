// What each release takes and refuses where it differs from the one before, as its own sources have it.
import t, { type Test } from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { findRelease, nameRelease, parseRelease } from '../../../src/hypervisor/cloud-hypervisor/release.js';
import type { JsonObject } from '../../../src/hypervisor/exact-json.js';
import { releaseOf } from './command-lines.js';

const ALL = [
  '44.0',
  '45.0',
  '46.0',
  '47.0',
  '48.0',
  '49.0',
  '50.0',
  '50.1',
  '50.2',
  '51.0',
  '52.0',
  '53.0',
  '54-dev',
  '54.0',
];

const convert = (release: string, options: readonly string[]) =>
  convertCommand(['--kernel', '/k', ...options], releaseOf(release)).vmConfig;

interface Change {
  readonly options: readonly string[];
  /** The first release that takes the line. */
  readonly since?: string;
  /** The first that does not take it any more. */
  readonly until?: string;
  /** What the line becomes. */
  readonly config: JsonObject;
  /** In details and message of the refusal. */
  readonly flag: string;
  readonly key?: string;
}

const disk = (value: string, config: JsonObject, since: string, key: string): Change => ({
  options: ['--disk', `path=/a,${value}`],
  config: { disks: [{ path: '/a', ...config }] },
  since,
  flag: '--disk',
  key,
});
const platform = (key: string, value: string, since: string, config: JsonObject): Change => ({
  options: ['--platform', `${key}=${value}`],
  config: { platform: config },
  since,
  flag: '--platform',
  key,
});
const cpus = (key: string, value: string, since: string, config: JsonObject): Change => ({
  options: ['--cpus', `${key}=${value}`],
  config: { cpus: { boot_vcpus: 1, max_vcpus: 1, ...config } },
  since,
  flag: '--cpus',
  key,
});

const CHANGES: readonly Change[] = [
  cpus('nested', 'off', '50.0', { nested: false }),
  cpus('core_scheduling', 'off', '52.0', { core_scheduling: 'Off' }),
  cpus('profile', 'Host', '53.0', { profile: 'Host' }),
  cpus('boot', '256', '48.0', { boot_vcpus: 256, max_vcpus: 256 }),
  cpus('topology', '1:1:1:256', '48.0', {
    topology: { threads_per_core: 1, cores_per_die: 1, dies_per_package: 1, packages: 256 },
  }),
  cpus('affinity', '[0@[1], 0@[2]]', '54-dev', {
    affinity: [
      { vcpu: 0, host_cpus: [1] },
      { vcpu: 0, host_cpus: [2] },
    ],
  }),
  disk('image_type=raw', { image_type: 'Raw' }, '50.1', 'image_type'),
  disk('image_type=vmdk', { image_type: 'FlatVmdk' }, '54-dev', 'image_type'),
  disk('backing_files=on', { backing_files: true }, '50.1', 'backing_files'),
  disk('sparse=off', { sparse: false }, '51.0', 'sparse'),
  disk('lock_granularity=full', { lock_granularity: 'Full' }, '52.0', 'lock_granularity'),
  disk('pci_device_id=3', { pci_device_id: 3 }, '52.0', 'pci_device_id'),
  disk('guest_block_size=4096', { guest_block_size: 4096 }, '54.0', 'guest_block_size'),
  disk('iommu=virtio', { iommu: 'Virtio' }, '54.0', 'iommu'),
  platform('iommufd', 'on', '52.0', { iommufd: true }),
  platform('vfio_p2p_dma', 'off', '52.0', { vfio_p2p_dma: false }),
  platform('system_uuid', 'u', '53.0', { system_uuid: 'u' }),
  platform('system_serial_number', 's', '53.0', { system_serial_number: 's' }),
  platform('chassis_asset_tag', 't', '53.0', { chassis_asset_tag: 't' }),
  {
    options: ['--device', 'path=/d,iommu=smmuv3'],
    config: { devices: [{ path: '/d', iommu: 'Smmuv3' }] },
    since: '54.0',
    flag: '--device',
    key: 'iommu',
  },
  {
    options: ['--net', 'ip=::1'],
    config: { net: [{ ip: '::1' }] },
    since: '46.0',
    flag: '--net',
    key: 'ip',
  },
  {
    options: ['--disk', 'path=/a', '--disk', 'path=/b'],
    config: { disks: [{ path: '/a' }, { path: '/b' }] },
    since: '52.0',
    flag: '--disk',
  },
  { options: ['--no-shutdown'], config: {}, since: '52.0', flag: '--no-shutdown' },
  { options: ['--log-format', '{msg}'], config: {}, since: '52.0', flag: '--log-format' },
  { options: ['--log-format', '{hour}'], config: {}, since: '53.0', flag: '--log-format' },
  { options: ['--seccomp', 'errno'], config: {}, since: '53.0', flag: '--seccomp' },
  { options: ['--rtc'], config: { rtc: {} }, since: '53.0', flag: '--rtc' },
  {
    options: ['--rng', 'id=r'],
    config: { rng: { src: '/dev/urandom', id: 'r' } },
    since: '52.0',
    flag: '--rng',
    key: 'id',
  },
  {
    options: ['--balloon', 'size=1,id=b'],
    config: { balloon: { size: 1, id: 'b' } },
    since: '53.0',
    flag: '--balloon',
    key: 'id',
  },
  {
    options: ['--console', 'off,pci_segment=1'],
    config: { console: { mode: 'Off', pci_segment: 1 } },
    since: '52.0',
    flag: '--console',
    key: 'pci_segment',
  },
  {
    options: ['--serial', 'tty,iommu=on'],
    config: { serial: { mode: 'Tty', iommu: true } },
    until: '52.0',
    flag: '--serial',
    key: 'iommu',
  },
  {
    options: ['--device', 'id=d'],
    config: { devices: [{ id: 'd' }] },
    since: '53.0',
    flag: '--device',
    key: 'path',
  },
  {
    options: ['--device', 'path=/d,x_exclude_mmap_bars=[1]'],
    config: { devices: [{ path: '/d', x_exclude_mmap_bars: [1] }] },
    since: '52.0',
    flag: '--device',
    key: 'x_exclude_mmap_bars',
  },
  {
    options: ['--numa', 'cpus=0'],
    config: { numa: [{ cpus: [0] }] },
    until: '51.0',
    flag: '--numa',
    key: 'guest_numa_id',
  },
  {
    options: ['--numa', 'guest_numa_id=0,device_id=d'],
    config: { numa: [{ guest_numa_id: 0, device_id: 'd' }] },
    since: '51.0',
    flag: '--numa',
    key: 'device_id',
  },
  {
    options: ['--memory', 'size=1G,reserve=on'],
    config: { memory: { size: 2 ** 30, reserve: true } },
    since: '53.0',
    flag: '--memory',
    key: 'reserve',
  },
  {
    options: ['--memory', 'size=0', '--memory-zone', 'id=z,size=1G,mergeable=on'],
    config: { memory: { size: 0, zones: [{ id: 'z', size: 2 ** 30, mergeable: true }] } },
    since: '52.0',
    flag: '--memory-zone',
    key: 'mergeable',
  },
  {
    options: ['--generic-vhost-user', 'socket=/s,queue_sizes=[1],virtio_id=fs'],
    config: { generic_vhost_user: [{ socket: '/s', queue_sizes: [1], device_type: 26 }] },
    since: '52.0',
    flag: '--generic-vhost-user',
  },
  {
    options: ['--sgx-epc', 'id=e,size=1M'],
    config: { sgx_epc: [{ id: 'e', size: 2 ** 20 }] },
    until: '48.0',
    flag: '--sgx-epc',
  },
  {
    options: ['--numa', 'guest_numa_id=0,sgx_epc_sections=[e]'],
    config: { numa: [{ guest_numa_id: 0, sgx_epc_sections: ['e'] }] },
    until: '48.0',
    flag: '--numa',
    key: 'sgx_epc_sections',
  },
  {
    options: ['--net', 'mac=+1:2A:03:04:05:06'],
    config: { net: [{ mac: '01:2a:03:04:05:06' }] },
    until: '51.0',
    flag: '--net',
    key: 'mac',
  },
  { options: ['--disk', '"path"="/a"'], config: { disks: [{ path: '/a' }] }, until: '48.0', flag: '--disk' },
  {
    options: ['--disk', 'path=/a,readonly="on"'],
    config: { disks: [{ path: '/a', readonly: true }] },
    until: '48.0',
    flag: '--disk',
    key: 'readonly',
  },
  {
    options: ['--disk', 'path="/a[b"'],
    config: { disks: [{ path: '/a[b' }] },
    since: '48.0',
    flag: '--disk',
  },
];

for (const change of CHANGES) {
  const { options, config, since, until, flag, key } = change;
  t.test(
    `${options.join(' ')} is for ${since ?? 'all'} to ${until ?? 'all'}, and refused by name elsewhere`,
    async t => {
      for (const release of ALL) {
        const isTaken =
          (since === undefined || releaseOf(release) >= releaseOf(since)) &&
          (until === undefined || releaseOf(release) < releaseOf(until));
        if (isTaken)
          t.strictSame(convert(release, options), { payload: { kernel: '/k' }, ...config }, release);
        else refuses(t, release, options, flag, key);
      }
    },
  );
}

function refuses(t: Test, release: string, options: readonly string[], flag: string, key?: string): void {
  try {
    convert(release, options);
    t.fail(`${release} takes it`);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    t.match(error, { code: 'command_invalid', details: { flag, ...(key && { key }) } }, release);
    t.ok(error.message.includes(flag), `${release}: ${error.message}`);
    if (key) t.ok(error.message.includes(key), `${release}: ${error.message}`);
  }
}

t.test(
  'a key that came later is refused with the release that has it and the one that it is for',
  async t => {
    t.throws(() => convert('52.0', ['--platform', 'system_uuid=u']), {
      message:
        '--platform: "system_uuid" is there in cloud-hypervisor from 53.0 on, and this is 52.0: use "uuid=".',
      details: { flag: '--platform', key: 'system_uuid', release: '52.0', since: '53.0' },
    });
    t.throws(() => convert('50.0', ['--disk', 'sparse=off']), {
      message:
        '--disk: "sparse" is there in cloud-hypervisor from 51.0 on, and this is 50.0: leave it out, or install 51.0 or later.',
    });
    t.throws(
      () => convert('50.0', ['--disk', 'path=/a', '--disk', 'path=/b']),
      /from 52\.0 on, and this is 50\.0: put all its values/,
    );
    t.throws(
      () => convert('53.0', ['--sgx-epc', 'id=a']),
      /--sgx-epc is there in cloud-hypervisor up to 47\.0, and this is 53\.0/,
    );
    t.throws(
      () => convert('52.0', ['--disk', 'image_type=vmdk']),
      /image_type.*vhdx, and from 54\.0 on vmdk/,
    );
  },
);

t.test('the machine has its UUID by the name that its release knows', async t => {
  const line = ['--platform', 'uuid=u,serial_number=s'];
  for (const release of ALL) {
    const names =
      releaseOf(release) < releaseOf('53.0')
        ? ['uuid', 'serial_number']
        : ['system_uuid', 'system_serial_number'];
    t.strictSame(
      convert(release, line).platform,
      { [names[0] as string]: 'u', [names[1] as string]: 's' },
      release,
    );
  }
});

t.test("quotes and brackets in lists are each release's own", async t => {
  const strings = (release: string, text: string) =>
    convert(release, ['--platform', `oem_strings=${text}`]).platform;
  t.strictSame(strings('47.0', '["a,b",c]'), { oem_strings: ['a', 'b', 'c'] });
  t.strictSame(strings('48.0', '["a,b",c]'), { oem_strings: ['"a,b"', 'c'] });
  t.strictSame(convert('47.0', ['--cpus', 'boot="2"']).cpus, { boot_vcpus: 2, max_vcpus: 2 });
  t.strictSame(
    convert('47.0', ['--disk', 'path=" /a "']).disks,
    [{ path: '/a' }],
    'trimmed without its quotes',
  );
  t.strictSame(convert('48.0', ['--disk', 'path=" /a "']).disks, [{ path: ' /a ' }]);
  t.strictSame(convert('47.0', ['--numa', 'guest_numa_id=0,cpus=256']).numa, [
    { guest_numa_id: 0, cpus: [0] },
  ]);
  t.strictSame(convert('48.0', ['--numa', 'guest_numa_id=0,cpus=256']).numa, [
    { guest_numa_id: 0, cpus: [256] },
  ]);
});

t.test("a zone takes the memory's mergeable over where zones have one", async t => {
  const zones = ['--memory', 'size=0,mergeable=on', '--memory-zone', 'id=z,size=1M'];
  t.strictSame(convert('51.0', zones).memory, {
    size: 0,
    mergeable: true,
    zones: [{ id: 'z', size: 2 ** 20 }],
  });
  t.strictSame(convert('52.0', zones).memory, {
    size: 0,
    mergeable: true,
    zones: [{ mergeable: true, id: 'z', size: 2 ** 20 }],
  });
});

t.test('reads a release as programs and people write it', async t => {
  for (const [text, name] of [
    ['52', '52.0'],
    ['v52.0.0', '52.0'],
    ['50.1', '50.1'],
    ['v52.0-dirty', '52.0'],
    ['54-dev', '54-dev'],
    ['v53.0-246-gae44c2971-dirty', '54-dev'],
    ['v50.2-3-gae44c2971', '50.2'],
    ['v52.0.0-debian1', '52.0'],
  ] as const) {
    const release = parseRelease(text);
    t.equal(release && nameRelease(release), name, text);
  }
  for (const text of ['', 'x', 'main', '52x', '52.0.0.0', '-1']) t.equal(parseRelease(text), undefined, text);
  t.equal(findRelease('cloud-hypervisor v53.0.0\nMigration Protocol Versions: 0\n'), 53_00);
  t.equal(findRelease('QEMU'), undefined);
});
