// Command lines for each rule at its edges, with what cloud-hypervisor v53 makes of them (each was run through
// the real program's parser). `--kernel /k` stands before every line.

import type { JsonObject } from '../../../src/hypervisor/exact-json.js';

export interface RuleLine {
  readonly rule: string;
  readonly options: readonly string[];
  /** What the line adds to the VM config; a line without it is refused. */
  readonly config?: JsonObject;
  /** The flag and key that the refusal names. */
  readonly names?: { flag?: string; key?: string };
}

const accept = (rule: string, options: readonly string[], config: JsonObject): RuleLine => ({
  rule,
  options,
  config,
});
const refuse = (rule: string, options: readonly string[], flag?: string, key?: string): RuleLine => ({
  rule,
  options,
  names: { ...(flag && { flag }), ...(key && { key }) },
});
const disk = (value: string, config: JsonObject): [string[], JsonObject] => [
  ['--disk', value],
  { disks: [config] },
];
const MAXIMUM_64 = 18446744073709551615n;

export const ARGUMENT_LINES: readonly RuleLine[] = [
  accept(
    'takes several values after one flag, and the flag again',
    ['--disk', 'path=/a', 'path=/b', '--disk=path=/c'],
    {
      disks: [{ path: '/a' }, { path: '/b' }, { path: '/c' }],
    },
  ),
  refuse('takes one value only after an equals sign', ['--disk=path=/a', 'path=/b']),
  accept('takes what follows the first equals sign', ['--cmdline=root=/dev/vda rw'], {
    payload: { kernel: '/k', cmdline: 'root=/dev/vda rw' },
  }),
  accept('takes an empty value', ['--cmdline=', '--platform', ''], {
    payload: { kernel: '/k', cmdline: '' },
    platform: {},
  }),
  accept('takes a single dash for a value', ['--cmdline', '-'], { payload: { kernel: '/k', cmdline: '-' } }),
  refuse('takes no value that begins with a dash', ['--cmdline', '-x'], '--cmdline'),
  accept('takes it after an equals sign', ['--cmdline=-x'], { payload: { kernel: '/k', cmdline: '-x' } }),
  refuse('refuses a flag without its value', ['--disk'], '--disk'),
  refuse('refuses a flag whose value is another flag', ['--serial', '--watchdog'], '--serial'),
  refuse('refuses a single-value flag twice', ['--cpus', 'boot=1', '--cpus', 'boot=1'], '--cpus'),
  refuse('refuses a switch twice', ['--watchdog', '--watchdog'], '--watchdog'),
  refuse('refuses a value for a switch', ['--watchdog=on'], '--watchdog'),
  refuse('refuses a word after a switch', ['--watchdog', 'on']),
  accept('takes --rtc without a value', ['--rtc', '--pvpanic'], { rtc: {}, pvpanic: true }),
  accept('takes --rtc with one', ['--rtc', 'id=clock'], { rtc: { id: 'clock' } }),
  refuse('takes no second value for --rtc', ['--rtc', 'id=a', 'id=b']),
  refuse('does not complete shortened flags', ['--watch'], '--watch'),
  refuse('does not know flags in capitals', ['--Watchdog'], '--Watchdog'),
  refuse('refuses an unknown short flag among -v', ['-vx'], '-x'),
  accept('takes a double dash at the end', ['--watchdog', '--'], { watchdog: true }),
  refuse('takes nothing after a double dash', ['--', '--watchdog'], '--'),
  refuse('refuses what only prints', ['--version'], '--version'),
  refuse('refuses -h', ['-vh'], '-h'),
  refuse('refuses other seccomp words', ['--seccomp', 'True'], '--seccomp'),
];

export const STRING_LINES: readonly RuleLine[] = [
  accept(
    'gives keys of developers the names of their fields',
    ...disk('path=/a,_disable_io_uring=on,_disable_aio=on', {
      path: '/a',
      disable_io_uring: true,
      disable_aio: true,
    }),
  ),
  accept('does not split at commas in quotes', ...disk('path="/a,b",id=x', { path: '/a,b', id: 'x' })),
  accept('takes quotes away anywhere in a value', ...disk('path=/a"b,c"d', { path: '/ab,cd' })),
  accept('takes two quotes within quotes for one', ...disk('path="a""b"', { path: 'a"b' })),
  accept('takes four quotes for one', ...disk('path=""""', { path: '"' })),
  accept('takes two quotes for an empty value that counts', ...disk('path=""', { path: '' })),
  accept('takes an empty value for a missing one', ...disk('path=,num_queues=,readonly=', {})),
  accept('does not split at commas in brackets', ...disk('path=a[b,c]d', { path: 'a[b,c]d' })),
  accept('does not count brackets in quotes', ...disk('path="[,"', { path: '[,' })),
  refuse('refuses an open bracket', ['--disk', 'path=[a'], '--disk'),
  refuse('refuses a closing bracket too many', ['--disk', 'path=a]'], '--disk'),
  refuse('refuses an open quote', ['--disk', 'path="a'], '--disk'),
  accept(
    'trims a value, but not within its quotes',
    ...disk('path= " a " ,id= x y ', { path: ' a ', id: 'x y' }),
  ),
  accept(
    'trims as Rust does: U+0085, but not U+FEFF',
    ...disk('path=\u0085\ufeffa\ufeff\u0085', { path: '\ufeffa\ufeff' }),
  ),
  accept('trims the whole string', ...disk('  path=/a  ', { path: '/a' })),
  refuse('does not trim a key', ['--disk', 'id=x, path=/a'], '--disk', ' path'),
  refuse('does not trim a key on its right', ['--disk', 'path =/a'], '--disk', 'path '),
  refuse('does not take quotes from a key', ['--disk', '"path"=/a'], '--disk', '"path"'),
  refuse('refuses a comma at the end', ['--disk', 'path=/a,'], '--disk', ''),
  refuse('refuses a key without an equals sign', ['--disk', 'path=/a,readonly'], '--disk', 'readonly'),
  refuse('refuses an unknown key', ['--disk', 'pth=/a'], '--disk', 'pth'),
  refuse('knows no key of Object.prototype', ['--disk', 'constructor=/a'], '--disk', 'constructor'),
  accept('lets the last of equal keys count', ...disk('path=/a,path=/b', { path: '/b' })),
  accept('lets an empty last one count', ...disk('path=/a,path=', {})),
  accept('checks only the last of equal keys', ...disk('num_queues=x,num_queues=2', { num_queues: 2 })),
  accept('takes blanks alone for nothing', ['--memory', '  '], { memory: { size: 536870912 } }),
  accept('keeps an equals sign in a value', ...disk('path=a=b', { path: 'a=b' })),
];

export const VALUE_LINES: readonly RuleLine[] = [
  accept(
    'reads toggles in any case',
    ...disk('readonly=ON,direct=True,sparse=oFF', { readonly: true, direct: true, sparse: false }),
  ),
  refuse('takes no quoted toggle', ['--disk', 'readonly="on"'], '--disk', 'readonly'),
  refuse('takes no toggle 1', ['--disk', 'readonly=1'], '--disk', 'readonly'),
  accept(
    'reads numbers with a plus, zeros in front, and quotes',
    ...disk('num_queues=+2,queue_size="0128"', { num_queues: 2, queue_size: 128 }),
  ),
  refuse('takes no blank in a quoted number', ['--disk', 'num_queues=" 2"'], '--disk', 'num_queues'),
  refuse('takes no hexadecimal number', ['--disk', 'num_queues=0x10'], '--disk', 'num_queues'),
  refuse('takes no negative number', ['--disk', 'num_queues=-1'], '--disk', 'num_queues'),
  refuse('takes no digits of other scripts', ['--disk', 'num_queues=٣'], '--disk', 'num_queues'),
  refuse('takes 16 bits where there are 16', ['--disk', 'queue_size=65536'], '--disk', 'queue_size'),
  accept(
    'takes 64 bits where there are 64, exactly',
    ...disk(`num_queues=${MAXIMUM_64}`, { num_queues: MAXIMUM_64 }),
  ),
  refuse('takes no more than 64 bits', ['--disk', `num_queues=${MAXIMUM_64 + 1n}`], '--disk', 'num_queues'),
  accept('reads sizes', ['--memory', 'size=1G,hotplug_size=2M,hotplugged_size=4K,hugepage_size=8'], {
    memory: { size: 1073741824, hotplug_size: 2097152, hotplugged_size: 4096, hugepage_size: 8 },
  }),
  accept('lets the last letter of a size count', ['--memory', 'size=1GK'], { memory: { size: 1024 } }),
  accept('reads a quoted size with blanks', ['--memory', 'size=" +1M "'], { memory: { size: 1048576 } }),
  accept('loses the bits of a size beyond 64, as the program does', ['--memory', `size=${MAXIMUM_64}K`], {
    memory: { size: MAXIMUM_64 - 1023n },
  }),
  refuse('takes no small letter in a size', ['--memory', 'size=1g'], '--memory', 'size'),
  refuse('takes no letter alone for a size', ['--memory', 'size=M'], '--memory', 'size'),
  accept('reads lists with ranges', ['--numa', 'guest_numa_id=0,cpus=[0,2-4]'], {
    numa: [{ guest_numa_id: 0, cpus: [0, 2, 3, 4] }],
  }),
  accept(
    'reads lists without brackets, or with too many',
    ['--numa', 'guest_numa_id=0,cpus=1,pci_segments=[[1]]'],
    {
      numa: [{ guest_numa_id: 0, cpus: [1], pci_segments: [1] }],
    },
  ),
  refuse('takes no range of one', ['--numa', 'guest_numa_id=0,cpus=[3-3]'], '--numa', 'cpus'),
  refuse('takes no range downwards', ['--numa', 'guest_numa_id=0,cpus=[5-3]'], '--numa', 'cpus'),
  refuse('takes no range of three', ['--numa', 'guest_numa_id=0,cpus=[1-2-3]'], '--numa', 'cpus'),
  refuse('takes no empty list', ['--numa', 'guest_numa_id=0,cpus=[]'], '--numa', 'cpus'),
  refuse('takes no blank in a list', ['--numa', 'guest_numa_id=0,cpus=[0, 1]'], '--numa', 'cpus'),
  refuse('takes no quotes in a list of numbers', ['--numa', 'guest_numa_id=0,cpus=["1"]'], '--numa', 'cpus'),
  accept(
    'cuts lists of numbers where the program does',
    ['--numa', 'guest_numa_id=0,cpus=[4294967297],pci_segments=[65537]'],
    {
      numa: [{ guest_numa_id: 0, cpus: [1], pci_segments: [1] }],
    },
  ),
  refuse(
    'checks queue sizes instead of cutting them',
    ['--generic-vhost-user', 'socket=/s,device_type=fs,queue_sizes=[65536]'],
    '--generic-vhost-user',
    'queue_sizes',
  ),
  accept('reads pairs', ['--cpus', 'affinity=[0@[0-1,4],"1"@2]'], {
    cpus: {
      boot_vcpus: 1,
      max_vcpus: 1,
      affinity: [
        { vcpu: 0, host_cpus: [0, 1, 4] },
        { vcpu: 1, host_cpus: [2] },
      ],
    },
  }),
  refuse('takes no pairs without brackets', ['--cpus', 'affinity=0@0'], '--cpus', 'affinity'),
  refuse('takes no empty pairs', ['--cpus', 'affinity=[]'], '--cpus', 'affinity'),
  refuse('takes no pair of three', ['--cpus', 'affinity=[0@1@2]'], '--cpus', 'affinity'),
  refuse('takes no blank in a pair', ['--cpus', 'affinity=[0@1, 2@3]'], '--cpus', 'affinity'),
  accept('cuts distances to 8 bits', ['--numa', 'guest_numa_id=0,distances=[1@300]'], {
    numa: [{ guest_numa_id: 0, distances: [{ destination: 1, distance: 44 }] }],
  }),
  accept('keeps quotes in lists of strings', ['--platform', 'oem_strings=["a,b",c]'], {
    platform: { oem_strings: ['"a,b"', 'c'] },
  }),
  accept('reads a string alone as a list', ['--platform', 'oem_strings=a'], {
    platform: { oem_strings: ['a'] },
  }),
  accept('reads an empty list as one empty string', ['--platform', 'oem_strings=[]'], {
    platform: { oem_strings: [''] },
  }),
  accept('keeps brackets and their commas within a string', ['--platform', 'oem_strings=[a[1,2]b,c]'], {
    platform: { oem_strings: ['a[1,2]b', 'c'] },
  }),
  refuse(
    'loses outer brackets of strings, and then their balance',
    ['--platform', 'oem_strings=[[a],b]'],
    '--platform',
    'oem_strings',
  ),
  accept('writes MAC addresses in small letters', ['--net', 'mac=02:AB:00:01:01:0F'], {
    net: [{ mac: '02:ab:00:01:01:0f' }],
  }),
  refuse('takes no short MAC address', ['--net', 'mac=2:0:0:0:0:1'], '--net', 'mac'),
  accept('writes IPv6 addresses in their shortest form', ['--net', 'ip=FD00:0:0:0:1:0:0:1,mask=ffff::'], {
    net: [{ ip: 'fd00::1:0:0:1', mask: 'ffff::' }],
  }),
  accept(
    'writes IPv4 in IPv6 with dots only where it is mapped',
    ['--net', 'ip=::ffff:0102:0304,mask=::1.2.3.4'],
    { net: [{ ip: '::ffff:1.2.3.4', mask: '::102:304' }] },
  ),
  refuse('takes no IPv4 address with zeros in front', ['--net', 'ip=01.2.3.4'], '--net', 'ip'),
  refuse('takes no IPv6 address with a zone', ['--net', 'ip=fe80::1%eth0'], '--net', 'ip'),
  refuse('takes no :: that stands for nothing', ['--net', 'ip=1:2:3:4::5:6:7:8'], '--net', 'ip'),
];

export const FLAG_LINES: readonly RuleLine[] = [
  accept('lets max follow boot', ['--cpus', 'boot=4'], { cpus: { boot_vcpus: 4, max_vcpus: 4 } }),
  accept('reads a topology', ['--cpus', 'topology=1:2:1:2'], {
    cpus: {
      boot_vcpus: 1,
      max_vcpus: 1,
      topology: { threads_per_core: 1, cores_per_die: 2, dies_per_package: 1, packages: 2 },
    },
  }),
  accept('reads CPU features', ['--cpus', 'features=amx'], {
    cpus: { boot_vcpus: 1, max_vcpus: 1, features: { amx: true } },
  }),
  refuse('refuses other CPU features', ['--cpus', 'features=[amx,sse]'], '--cpus', 'features'),
  accept('reads scheduling in any case', ['--cpus', 'core_scheduling=VCPU'], {
    cpus: { boot_vcpus: 1, max_vcpus: 1, core_scheduling: 'Vcpu' },
  }),
  refuse('reads the CPU profile in its spelling only', ['--cpus', 'profile=host'], '--cpus', 'profile'),
  accept(
    'lets zones take mergeable over from memory, and size stay',
    ['--memory-zone', 'id=a', 'id=b,mergeable=off', '--memory', 'mergeable=on'],
    {
      memory: {
        size: 536870912,
        mergeable: true,
        zones: [
          { id: 'a', size: 536870912, mergeable: true },
          { id: 'b', size: 536870912, mergeable: false },
        ],
      },
    },
  ),
  accept('gives zones a memory where there is none', ['--memory-zone', 'id=a,size=1G'], {
    memory: { size: 536870912, zones: [{ id: 'a', size: 1073741824 }] },
  }),
  refuse('refuses a zone without its id', ['--memory-zone', 'id='], '--memory-zone', 'id'),
  accept('drops --memory file=, as the program does', ['--memory', 'file=/x'], {
    memory: { size: 536870912 },
  }),
  accept(
    'makes a rate limit of size and refill time',
    ...disk('bw_size=1,bw_refill_time=2,ops_size=3', {
      rate_limiter_config: { bandwidth: { size: 1, one_time_burst: 0, refill_time: 2 } },
    }),
  ),
  accept('drops a rate limit of zero', ...disk('bw_size=0,bw_refill_time=2', {})),
  refuse(
    'checks the numbers of a dropped rate limit',
    ['--disk', 'bw_one_time_burst=x'],
    '--disk',
    'bw_one_time_burst',
  ),
  accept('takes a rate limit group without an id', ['--rate-limit-group', ''], { rate_limit_groups: [{}] }),
  accept(
    'does not look at image_type beside a socket',
    ...disk('socket=/s,image_type=nonsense', { vhost_socket: '/s' }),
  ),
  refuse(
    'looks at it beside an empty socket',
    ['--disk', 'socket=,image_type=nonsense'],
    '--disk',
    'image_type',
  ),
  accept('reads image types in any case', ...disk('image_type=VHD', { image_type: 'FixedVhd' })),
  refuse(
    'reads lock_granularity in its spelling only',
    ['--disk', 'lock_granularity=FULL'],
    '--disk',
    'lock_granularity',
  ),
  accept('leaves iommu=off out, which the VM config never shows', ...disk('iommu=off', {})),
  refuse('gives no iommu to a file system', ['--fs', 'tag=a,socket=/s,iommu=on'], '--fs', 'iommu'),
  accept('counts the bytes of a tag', ['--fs', `tag=${'é'.repeat(18)},socket=/s`], {
    fs: [{ tag: 'é'.repeat(18), socket: '/s' }],
  }),
  refuse('refuses a tag of 37 bytes', ['--fs', `tag=${'a'.repeat(37)},socket=/s`], '--fs', 'tag'),
  refuse('demands a socket', ['--fs', 'tag=a'], '--fs', 'socket'),
  accept('lets newer names outrank older ones', ['--platform', 'uuid=a,system_uuid=b,serial_number=c'], {
    platform: { system_uuid: 'b', system_serial_number: 'c' },
  }),
  accept('lets an older name count beside an empty newer one', ['--platform', 'uuid=a,system_uuid='], {
    platform: { system_uuid: 'a' },
  }),
  refuse('says of another build what to do', ['--platform', 'sev_snp=on'], '--platform', 'sev_snp'),
  accept('lets off outrank every console mode', ['--console', 'file=/x,tty,off'], {
    console: { mode: 'Off' },
  }),
  accept('lets pty outrank tty, and tty null', ['--serial', 'null,tty,pty', '--console', 'null,tty'], {
    serial: { mode: 'Pty' },
    console: { mode: 'Tty' },
  }),
  accept('takes no notice of a value after a mode', ['--serial', 'tty=1'], { serial: { mode: 'Tty' } }),
  accept('lets a file outrank a socket', ['--serial', 'socket=/s,file=/f'], {
    serial: { mode: 'File', file: '/f' },
  }),
  accept('does not look at an empty path behind another mode', ['--serial', 'tty,file='], {
    serial: { mode: 'Tty' },
  }),
  refuse('refuses an empty console path', ['--serial', 'file='], '--serial', 'file'),
  refuse('refuses a console without a mode', ['--console', 'id=x'], '--console'),
  accept('reads the port of the debug console', ['--debug-console', 'file=/f,iobase=0x0E9'], {
    debug_console: { mode: 'File', file: '/f', iobase: 233 },
  }),
  accept('takes a debug console without a port', ['--debug-console', 'tty'], {
    debug_console: { mode: 'Tty' },
  }),
  refuse('refuses a port without 0x', ['--debug-console', 'tty,iobase=e9'], '--debug-console', 'iobase'),
  refuse('refuses a port with 0X', ['--debug-console', 'tty,iobase=0Xe9'], '--debug-console', 'iobase'),
  refuse(
    'refuses a socket for the debug console',
    ['--debug-console', 'socket=/s'],
    '--debug-console',
    'socket',
  ),
  accept(
    'knows device types by name and number, the newer key first',
    [
      '--generic-vhost-user',
      'socket=/s,queue_sizes=[1],device_type=9p,virtio_id=1',
      'socket=/s,queue_sizes=[1],virtio_id=26',
    ],
    {
      generic_vhost_user: [
        { socket: '/s', queue_sizes: [1], device_type: 9 },
        { socket: '/s', queue_sizes: [1], device_type: 26 },
      ],
    },
  ),
  refuse(
    'refuses device type 0',
    ['--generic-vhost-user', 'socket=/s,queue_sizes=[1],device_type=0'],
    '--generic-vhost-user',
    'device_type',
  ),
  refuse(
    'refuses device type +26',
    ['--generic-vhost-user', 'socket=/s,queue_sizes=[1],device_type=+26'],
    '--generic-vhost-user',
    'device_type',
  ),
  refuse(
    'refuses a watchdog by its number',
    ['--generic-vhost-user', 'socket=/s,queue_sizes=[1],device_type=35'],
    '--generic-vhost-user',
    'device_type',
  ),
  refuse(
    'refuses a NUMA device beside CPUs',
    ['--numa', 'guest_numa_id=0,device_id=d,cpus=[0]'],
    '--numa',
    'device_id',
  ),
  accept('takes a NUMA device beside distances', ['--numa', 'guest_numa_id=0,device_id=d,distances=[0@10]'], {
    numa: [{ guest_numa_id: 0, device_id: 'd', distances: [{ destination: 0, distance: 10 }] }],
  }),
  accept('counts the characters of landlock access', ['--landlock-rules', 'path=/a,access=éé'], {
    landlock_rules: [{ path: '/a', access: 'éé' }],
  }),
  refuse('refuses three of them', ['--landlock-rules', 'path=/a,access=rwx'], '--landlock-rules', 'access'),
  accept('takes switches', ['--watchdog', '--pvpanic', '--landlock'], {
    watchdog: true,
    pvpanic: true,
    landlock_enable: true,
  }),
  accept(
    'keeps defaults that are written out',
    ['--net', 'tap=,mac=,ip=,mask=,offload_tso=on,vhost_mode=Client'],
    {
      net: [{ offload_tso: true, vhost_mode: 'Client' }],
    },
  ),
  accept(
    'fills in what the VM config demands',
    ['--rng', 'id=r', '--balloon', '', '--vsock', 'cid=3,socket=/v'],
    {
      rng: { id: 'r', src: '/dev/urandom' },
      balloon: { size: 0 },
      vsock: { cid: 3, socket: '/v' },
    },
  ),
];
