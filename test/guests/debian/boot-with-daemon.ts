// Boots test guests with the real daemon: secrets become files on the host, the definition asks for the guest's word.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorCode, VmsecretdError } from '../../../src/errors.js';
import type { VmView } from '../../../src/vm/vm.js';
import type { TestDaemon } from '../../integration/daemon.js';
import type { BootGuest, GuestRequest, GuestSecret } from './guest.js';
import { DONE_LINE, portableGuestFiles, testGuestFiles } from './guest-files.js';
import { GUEST_KERNEL_PARAMETERS, type GuestImage, writeInitramfs } from './guest-image.js';

export interface DaemonBooterOptions {
  readonly daemon: TestDaemon;
  readonly image: GuestImage;
  /** The project's `guest/` folder. */
  readonly guestFolder: string;
  /** Told of every guest, for people who wait: alone on two cores one takes 13 seconds. */
  readonly onProgress: (line: string) => void;
}

/** A guest waits for two cores with other tests. */
const START_TIMEOUT_SECONDS = 180;

export function createDaemonBooter(options: DaemonBooterOptions): BootGuest {
  const { daemon, onProgress } = options;
  const booted = new Set<string>();
  return async request => {
    const { vm } = request;
    const begunAt = performance.now();
    const seconds = () => ((performance.now() - begunAt) / 1000).toFixed(1);
    await endOthers(daemon, vm);
    await daemon.define(vm, await writeDefinition(options, request));
    const { receipt } = await (booted.has(vm) ? restartOutdated(daemon, vm) : start(daemon, vm));
    booted.add(vm);
    onProgress(`guest ${vm}: ready, receipt ${receipt}, after ${seconds()} s`);
    const console = await daemon.untilConsole(vm, DONE_LINE);
    onProgress(`guest ${vm}: its last line after ${seconds()} s`);
    return { console, receipt };
  };
}

/** Each guest has 512 MiB; one that was booted stays for as long as it may be rotated. */
async function endOthers(daemon: TestDaemon, vm: string): Promise<void> {
  const { vms } = (await daemon.call('GET', '/v1/vms')).json as { vms: VmView[] };
  for (const { name, state } of vms) if (name !== vm && state === 'running') await daemon.act(name, 'kill');
}

async function start(daemon: TestDaemon, vm: string): Promise<VmView> {
  const { status, json } = await daemon.call('POST', `/v1/vms/${vm}/start?wait=ready`);
  if (status === 200) return json as VmView;
  const { code, detail } = json as { code: ErrorCode; detail: string };
  throw new VmsecretdError(code, detail);
}

/** As an operator does after a secret was rotated. */
async function restartOutdated(daemon: TestDaemon, vm: string): Promise<VmView> {
  await daemon.untilVm(vm, 'is outdated', ({ outdated }) => outdated.length > 0);
  const { status, stderr } = await daemon.ctl('restart', '--outdated', '--wait', 'ready');
  if (status !== 0) throw new Error(`vmsecretctl restart --outdated ended with ${status}: ${stderr}`);
  return daemon.show(vm);
}

async function writeDefinition(options: DaemonBooterOptions, request: GuestRequest) {
  const { daemon, image } = options;
  const { vm, oemStrings = [], withKubernetes = false } = request;
  const initramfs = join(daemon.folder, `${vm}.initramfs`);
  if (!existsSync(initramfs)) {
    const files = [...portableGuestFiles(options.guestFolder), ...testGuestFiles(), ...request.files];
    await writeInitramfs(initramfs, image, { files, withKubectl: withKubernetes });
  }
  const credentials: Record<string, unknown> = {};
  for (const [name, secret] of request.secrets) {
    credentials[name] = await writeSecret(daemon, `${vm}-${name}`, secret);
  }
  return {
    hypervisor: 'qemu',
    supervisor: 'daemon',
    restart: 'no',
    ready: request.ready ?? 'receipt',
    startTimeoutSeconds: START_TIMEOUT_SECONDS,
    stopTimeoutSeconds: 1, // the guest is pruned: nothing in it heeds the power button
    command: [
      ...'-accel tcg -cpu max -smp 1 -m 512 -nodefaults -no-reboot'.split(' '),
      ...['-kernel', image.kernel, '-initrd', initramfs, '-append', GUEST_KERNEL_PARAMETERS],
      ...(withKubernetes ? ['-nic', 'user,model=virtio-net-pci'] : []),
      ...oemStrings.flatMap(string => ['-smbios', `type=11,value=${string}`]),
    ],
    credentials,
  };
}

async function writeSecret(daemon: TestDaemon, name: string, { bytes, source, trim }: GuestSecret) {
  const path = join(daemon.secrets, source === 'age' ? `${name}.age` : name);
  if (bytes !== null && source === 'age') await daemon.seal(name, bytes);
  if (bytes !== null && source === 'file') writeFileSync(path, bytes, { mode: 0o600 });
  return { [source]: path, ...(trim === undefined ? {} : { trim }) };
}
