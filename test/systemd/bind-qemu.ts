// Binds for bootDebian: the host's QEMU with its firmware, modules and libraries. The tree inside is of the same suite.
import { existsSync } from 'node:fs';
import { execa } from 'execa';

const PROGRAM = '/usr/bin/qemu-system-x86_64';
const FOLDERS = ['/usr/share/qemu', '/usr/share/seabios', '/usr/lib/ipxe', '/usr/lib/x86_64-linux-gnu/qemu'];
/** These go with the loader that the tree has. */
const OF_GLIBC = /\/(ld-linux-.*|lib(c|m|dl|rt|pthread|resolv)\.so\.\d+)$/;

/** Why there is no QEMU to bind; false when there is. */
export function whyNoQemu(): string | false {
  return !existsSync(PROGRAM) && `needs ${PROGRAM}`;
}

export async function bindQemu(): Promise<Record<string, string>> {
  const { stdout } = await execa('ldd', [PROGRAM]);
  const libraries = [...stdout.matchAll(/\/\S+/g)].map(([path]) => path).filter(path => !OF_GLIBC.test(path));
  const paths = [PROGRAM, ...FOLDERS.filter(existsSync), ...libraries];
  return Object.fromEntries(paths.map(path => [path, path]));
}
