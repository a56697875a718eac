// Every option of cloud-hypervisor's default build from 44 to 54: which releases have it, how many values it takes and where they go.
// The next release's option is a line here and, where it has keys, a table beside.

import type { OptionTable } from '../option-table.js';
import type { Lifetime, Release } from '../release.js';
import { debugConsole, serial, virtioConsole } from './console.js';
import { cpus } from './cpus.js';
import {
  balloon,
  device,
  fs,
  landlockRule,
  pciSegment,
  pmem,
  rng,
  rtc,
  sgxEpc,
  tpm,
  userDevice,
  vdpa,
  vsock,
} from './devices.js';
import { disk } from './disk.js';
import { genericVhostUser } from './generic-vhost-user.js';
import { memory, memoryZone } from './memory.js';
import { net } from './net.js';
import { numa } from './numa.js';
import { platform } from './platform.js';
import { rateLimitGroup } from './rate-limiter.js';

/** `none` is a switch, `optional` takes none or one, `many` any number, and may be repeated from `MANY_REPEATED_SINCE` on. */
export type Arity = 'none' | 'one' | 'optional' | 'many';

export const MANY_REPEATED_SINCE: Release = 52_00;

export interface Flag extends Lifetime {
  readonly arity: Arity;
  /** The VM config's field, or the payload's for `payload`; without it the option is the program's own. */
  readonly field?: string;
  readonly part?: 'payload' | 'vm';
  /** How the value is read; without it the value is taken as it is. */
  readonly table?: OptionTable;
  readonly choices?: readonly string[];
  /** For choices that not every release has. */
  readonly choicesSince?: Readonly<Record<string, Release>>;
}

const one = (field: string, table: OptionTable): Flag => ({ arity: 'one', part: 'vm', field, table });
const many = (field: string, table: OptionTable, lifetime: Lifetime = {}): Flag => ({
  arity: 'many',
  part: 'vm',
  field,
  table,
  ...lifetime,
});
const aSwitch = (field: string): Flag => ({ arity: 'none', part: 'vm', field });
const payload = (field: string): Flag => ({ arity: 'one', part: 'payload', field });
const program = (arity: Arity, since?: Release): Flag => ({ arity, ...(since !== undefined && { since }) });

/** In the order in which the program reads them, so that of two mistakes the same one is named. */
export const FLAGS: ReadonlyMap<string, Flag> = new Map([
  ['--rate-limit-group', many('rate_limit_groups', rateLimitGroup)],
  ['--disk', many('disks', disk)],
  ['--net', many('net', net)],
  ['--rng', one('rng', rng)],
  ['--rtc', { arity: 'optional', part: 'vm', field: 'rtc', table: rtc, since: 53_00 }],
  ['--balloon', one('balloon', balloon)],
  ['--fs', many('fs', fs)],
  ['--generic-vhost-user', many('generic_vhost_user', genericVhostUser, { since: 52_00 })],
  ['--pmem', many('pmem', pmem)],
  ['--console', one('console', virtioConsole)],
  ['--serial', one('serial', serial)],
  ['--debug-console', one('debug_console', debugConsole)],
  ['--device', many('devices', device)],
  ['--user-device', many('user_devices', userDevice)],
  ['--vdpa', many('vdpa', vdpa)],
  ['--vsock', one('vsock', vsock)],
  ['--pci-segment', many('pci_segments', pciSegment)],
  ['--platform', one('platform', platform)],
  ['--sgx-epc', many('sgx_epc', sgxEpc, { until: 48_00 })],
  ['--numa', many('numa', numa)],
  ['--kernel', payload('kernel')],
  ['--firmware', payload('firmware')],
  ['--initramfs', payload('initramfs')],
  ['--cmdline', payload('cmdline')],
  ['--tpm', one('tpm', tpm)],
  ['--landlock-rules', many('landlock_rules', landlockRule)],
  ['--cpus', one('cpus', cpus)],
  ['--memory', one('memory', memory)],
  ['--memory-zone', many('zones', memoryZone)],
  ['--watchdog', aSwitch('watchdog')],
  ['--pvpanic', aSwitch('pvpanic')],
  ['--landlock', aSwitch('landlock_enable')],
  ['--api-socket', program('one')],
  ['--event-monitor', program('one')],
  ['--log-file', program('one')],
  ['--log-format', program('one', 52_00)],
  ['--no-shutdown', program('none', 52_00)],
  ['--restore', program('one')],
  [
    '--seccomp',
    { ...program('one'), choices: ['true', 'false', 'log', 'errno'], choicesSince: { errno: 53_00 } },
  ],
]);

/** Options of other builds that describe the VM: its JSON has a place for them. */
export const OTHER_BUILDS_VM_FLAGS: readonly string[] = [
  '--fw-cfg-config',
  '--gpu',
  '--host-data',
  '--igvm',
  '--ivshmem',
  '--pvmemcontrol',
];

/** Options of other builds that are the program's own. */
export const OTHER_BUILDS_PROGRAM_FLAGS: readonly string[] = [
  '--dbus-object-path',
  '--dbus-service-name',
  '--dbus-system-bus',
  '--gdb',
];
