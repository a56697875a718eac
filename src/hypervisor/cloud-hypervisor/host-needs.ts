// What a VM config needs of the host.
import type { HostClaim, HostNeeds } from '../host-needs.js';
import type { JsonObject, VmConfig } from './vm-config.js';

export function vmConfigNeeds(vmConfig: VmConfig): HostNeeds {
  const { payload = {}, vsock } = vmConfig;
  const disks = vmConfig.disks ?? [];
  const nets = vmConfig.net ?? [];
  const memories = objects(vmConfig.pmem);
  const own = (kind: HostClaim['kind'], value: unknown, shared = false): HostClaim[] =>
    value === undefined || value === null ? [] : [{ kind, value: String(value), shared }];
  return {
    claims: [
      ...own('vsock CID', vsock?.cid),
      ...own('vsock socket', vsock?.socket),
      ...nets.flatMap(({ tap, mac }) => [...own('tap', tap), ...own('MAC address', mac?.toLowerCase())]),
      ...disks.flatMap(({ path, readonly }) => own('disk image', path, readonly === true)),
      ...memories.flatMap(({ file, discard_writes }) => own('disk image', file, discard_writes === true)),
    ],
    files: [
      ...named('kernel', payload.kernel),
      ...named('firmware', payload.firmware),
      ...named('initramfs', payload.initramfs),
      ...disks.flatMap(({ path }) => named('disk image', path)),
      ...memories.flatMap(({ file }) => named('persistent memory', file)),
    ],
    sockets: [
      ...objects(vmConfig.fs).flatMap(({ socket }) => named('virtiofs socket', socket)),
      // In server mode the VMM itself listens.
      ...[...nets, ...disks]
        .filter(({ vhost_user, vhost_mode }) => vhost_user === true && vhost_mode !== 'Server')
        .flatMap(({ vhost_socket }) => named('vhost-user socket', vhost_socket)),
    ],
    needsKvm: true,
  };
}

function named(what: string, path: unknown): { what: string; path: string }[] {
  return typeof path === 'string' ? [{ what, path }] : [];
}

/** A definition's own `vmConfig` may hold anything; the VMM says what is wrong with it. */
function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(entry => typeof entry === 'object' && entry !== null) : [];
}
