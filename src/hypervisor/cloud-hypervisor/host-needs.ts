// What a VM config needs of the host.

import type { JsonObject } from '../exact-json.js';
import type { HostClaim, HostNeeds } from '../host-needs.js';
import type { ConsoleConfig, VmConfig } from './vm-config.js';

export function vmConfigNeeds(vmConfig: VmConfig): HostNeeds {
  const { payload = {}, vsock, serial } = vmConfig;
  const disks = vmConfig.disks ?? [];
  const nets = vmConfig.net ?? [];
  const memories = objects(vmConfig.pmem);
  const own = (kind: HostClaim['kind'], value: unknown, shared = false): HostClaim[] =>
    value === undefined || value === null ? [] : [{ kind, value: String(value), shared }];
  return {
    claims: [
      // Its CID is the VMM's own matter: two VMs may have the same.
      ...own('vsock socket', vsock?.socket),
      ...own('serial socket', serial?.mode === 'Socket' ? serial.socket : undefined),
      ...nets.flatMap(({ tap, mac }) => [...own('tap', tap), ...own('MAC address', mac?.toLowerCase())]),
      ...disks.flatMap(({ path, readonly }) => own('disk image', path, readonly === true)),
      ...memories.flatMap(({ file, discard_writes }) => own('disk image', file, discard_writes === true)),
    ],
    files: [
      ...named('kernel', payload.kernel),
      ...named('firmware', payload.firmware),
      ...named('initramfs', payload.initramfs),
      ...disks.flatMap(({ path, readonly }) => written(named('disk image', path), readonly !== true)),
      ...memories.flatMap(({ file, discard_writes }) =>
        written(named('persistent memory', file), discard_writes !== true),
      ),
    ],
    sockets: [
      ...objects(vmConfig.fs).flatMap(({ socket }) => named('virtiofs socket', socket)),
      // In server mode the VMM itself listens.
      ...[...nets, ...disks]
        .filter(({ vhost_user, vhost_mode }) => vhost_user === true && vhost_mode !== 'Server')
        .flatMap(({ vhost_socket }) => named('vhost-user socket', vhost_socket)),
    ],
    outputs: (['serial', 'console', 'debug_console'] as const).flatMap(key => {
      const { mode, file } = (vmConfig[key] ?? {}) as ConsoleConfig;
      return mode === 'File' ? named(`${key} file`, file) : [];
    }),
    needsKvm: true,
    memory: memoryOf(vmConfig),
  };
}

/** Zones are beside the memory's own size; one with a file is in that file. What may be plugged later is not counted. */
function memoryOf({ memory }: VmConfig): NonNullable<HostNeeds['memory']> {
  const [own = {}] = objects([memory]);
  return [own, ...objects(own.zones)]
    .filter(({ file }) => file === undefined || file === null)
    .map(({ size, hugepages, hugepage_size: page }) => ({
      bytes: Number(size ?? 0),
      ...(hugepages === true ? { hugepages: { bytes: page == null ? undefined : Number(page) } } : {}),
    }))
    .filter(({ bytes }) => bytes > 0);
}

function named(what: string, path: unknown): { what: string; path: string }[] {
  return typeof path === 'string' ? [{ what, path }] : [];
}

function written(files: { what: string; path: string }[], isWritten: boolean): HostNeeds['files'] {
  return isWritten ? files.map(file => ({ ...file, isWritten })) : files;
}

/** A definition's own `vmConfig` may hold anything; the VMM says what is wrong with it. */
function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(entry => typeof entry === 'object' && entry !== null) : [];
}
