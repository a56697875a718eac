// The VMMs that the contract suite runs on, and the guest that each boots.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectQmp } from '../../src/hypervisor/qemu/qmp-client.js';
import { type AfterPrinting, buildPvhGuest } from '../guests/pvh/pvh-guest.js';
import { realPrograms } from '../setup/cloud-hypervisors.js';
import { whyNoKvm, whyNotOnPath } from '../setup/programs.js';
import { TIMEOUT_MS } from './daemon.js';
import type { Rig } from './daemon-test.js';
import { callUnix } from './unix-api.js';

export interface Vmm {
  /** For titles. */
  name: string;
  hypervisor: 'qemu' | 'cloud-hypervisor';
  /** config.json's `hypervisors`. */
  hypervisors: Readonly<Record<string, { path: string }>>;
  skip: string | false;
  command(kernel: string): string[];
  /** Makes the guest power off by itself, without the daemon. Resolves once the VMM is gone. */
  powerOff(apiSocket: string): Promise<void>;
}

export const QEMU: Vmm = {
  name: 'qemu',
  hypervisor: 'qemu',
  hypervisors: {},
  skip: whyNotOnPath('qemu-system-x86_64'),
  command: kernel => ['-accel', 'tcg', '-m', '64', '-nodefaults', '-kernel', kernel],
  powerOff: async apiSocket => {
    const qmp = await connectQmp(apiSocket, { timeoutMs: TIMEOUT_MS });
    await qmp.execute('system_powerdown');
    await qmp.closed;
  },
};

export const CLOUD_HYPERVISOR: Vmm = {
  name: 'cloud-hypervisor',
  hypervisor: 'cloud-hypervisor',
  hypervisors: {},
  skip: whyNotOnPath('cloud-hypervisor') || whyNoKvm(),
  command: kernel => ['--kernel', kernel, '--memory', 'size=64M', '--serial', 'tty', '--console', 'off'],
  powerOff: async socketPath => {
    // An idle connection closes with the process.
    const gone = once(connect(socketPath).resume(), 'close', { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const path = '/api/v1/vm.power-button';
    await callUnix({ socketPath, method: 'PUT', path, timeoutMs: TIMEOUT_MS });
    await gone;
  },
};

/** Each release that is to be tested; see test/setup/cloud-hypervisors.ts. */
export const CLOUD_HYPERVISORS: readonly Vmm[] = realPrograms().map(({ name, program, skip }) => ({
  ...CLOUD_HYPERVISOR,
  name,
  hypervisors: skip ? {} : { 'cloud-hypervisor': { path: program } },
  skip: skip || whyNoKvm(),
}));

/** Behaves as cloud-hypervisor does; test/stand-ins has more of it. */
export const STAND_IN: Vmm = {
  ...CLOUD_HYPERVISOR,
  name: 'stand-in',
  hypervisors: { 'cloud-hypervisor': { path: standIn('cloud-hypervisor') } },
  skip: false,
};

/** A program of test/fixtures/bin, which is not compiled. */
export function standIn(name: string): string {
  return fileURLToPath(new URL(`../../../test/fixtures/bin/${name}`, import.meta.url));
}

export interface VmOptions {
  after?: AfterPrinting;
  /** File name of the kernel; the stand-in fails as it says. */
  kernelName?: string;
  /** More of the definition; credentials come behind the canary's. */
  more?: Readonly<Record<string, unknown>>;
}

export interface VmDefinition {
  command: string[];
  credentials: Record<string, unknown>;
}

/** A definition whose credential CANARY is the rig's secret, from an age file. */
export async function defineVm(
  vmm: Vmm,
  { daemon, canary }: Rig,
  name: string,
  { after = 'await-power-button', kernelName = `${name}.elf`, more = {} }: VmOptions = {},
): Promise<VmDefinition> {
  const kernel = join(daemon.folder, kernelName);
  writeFileSync(kernel, buildPvhGuest({ after }));
  const { credentials, ...others } = more;
  const definition = {
    hypervisor: vmm.hypervisor,
    supervisor: 'daemon',
    restart: 'no',
    command: vmm.command(kernel),
    credentials: {
      CANARY: { age: await daemon.seal('canary', canary.text) },
      ...(credentials as Record<string, unknown> | undefined),
    },
    ...others,
  };
  await daemon.define(name, definition);
  return definition;
}

/** Where a running VM's VMM listens. */
export function apiSocketOf({ daemon }: Rig, name: string): string {
  return join(daemon.runtime, 'vms', name, 'api.sock');
}
