// From 54.0 on the VMM boots with no disk image whose format nobody named; it was guessed before, from what a guest may have
// written. Nothing is guessed here either.
import { commandInvalid } from '../../definition/command-error.js';
import { nameRelease, type Release } from './release.js';
import type { VmConfig } from './vm-config.js';

const REQUIRED_SINCE: Release = 54_00;

/** Said before a start: vm.create takes such a VM, and vm.boot refuses it. @throws VmsecretdError command_invalid */
export function requireImageTypes({ disks = [] }: VmConfig, release: Release): void {
  if (release < REQUIRED_SINCE) return;
  const untyped = disks.find(
    ({ vhost_user, image_type }) => vhost_user !== true && (image_type == null || image_type === 'Unknown'),
  );
  if (untyped === undefined) return;
  throw commandInvalid(
    `--disk: the image ${untyped.path ?? ''} has no image_type, and cloud-hypervisor ${nameRelease(release)} does not boot without: add image_type=raw, or the format that it has. (microvm.nix passes the store disk of microvm.storeOnDisk so: set vmsecretd.microvm.storeDiskImageType in the VM's config. In a vmConfig it is "image_type": "Raw".)`,
    { flag: '--disk', key: 'image_type', release: nameRelease(release), since: nameRelease(REQUIRED_SINCE) },
  );
}
