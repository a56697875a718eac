// Builds the Debian guest (or takes it from the cache) and adds files to its initramfs.

import { execFile } from 'node:child_process';

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildCpio, type CpioEntry } from './cpio.js';

export interface GuestImage {
  readonly kernel: string;
  readonly rootArchive: string;
  readonly kubectlArchive: string;
  /** Which every Debian has, and the others here have not, to be small. */
  readonly perlArchive: string;
}

/** Kernel parameters with which the console shows only what the test's units print; a getty would hang it up under them. */
export const GUEST_KERNEL_PARAMETERS =
  'console=ttyS0 quiet loglevel=1 systemd.show_status=false systemd.log_target=kmsg systemd.getty_auto=no';

/** Needs root, debootstrap, cpio and zstd the first time; rejects with the build script's own words. */
export async function buildGuestImage(projectRoot: string, suite = 'bookworm'): Promise<GuestImage> {
  const script = join(projectRoot, 'test/guests/debian/build.sh');
  const { stdout } = await promisify(execFile)('bash', [script, suite]);
  const folder = stdout.trim();
  return {
    kernel: join(folder, 'vmlinuz'),
    rootArchive: join(folder, 'root.cpio.zst'),
    kubectlArchive: join(folder, 'kubectl.cpio.zst'),
    perlArchive: join(folder, 'perl.cpio.zst'),
  };
}

/**
 * Writes an initramfs at `path`: the root filesystem, kubectl and perl if asked for, then `files`.
 * The kernel unpacks the archives one after the other, whether compressed or not.
 */
export async function writeInitramfs(
  path: string,
  image: GuestImage,
  content: {
    readonly files: readonly CpioEntry[];
    readonly withKubectl?: boolean;
    readonly withPerl?: boolean;
  },
): Promise<void> {
  const archives = [
    image.rootArchive,
    ...(content.withKubectl === true ? [image.kubectlArchive] : []),
    ...(content.withPerl === true ? [image.perlArchive] : []),
  ];
  const parts = await Promise.all(archives.map(async archive => padToWord(await readFile(archive))));
  await writeFile(path, Buffer.concat([...parts, buildCpio(content.files)]));
}

/** The kernel looks for the next archive at a multiple of four bytes. */
function padToWord(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
