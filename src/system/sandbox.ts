// What the sandbox of this process's unit hides: a path that is there for whoever looks from a shell.
import { readFileSync } from 'node:fs';

/** Folders that a unit may have in a place of its own, and the setting that does it. */
const PRIVATE: readonly { folder: string; setting: string }[] = [
  { folder: '/tmp', setting: 'PrivateTmp=' },
  { folder: '/var/tmp', setting: 'PrivateTmp=' },
  { folder: '/home', setting: 'ProtectHome=' },
  { folder: '/root', setting: 'ProtectHome=' },
  { folder: '/run/user', setting: 'ProtectHome=' },
];

/** @returns a sentence to add to an error, or nothing @param mountInfo the text of /proc/self/mountinfo (proc(5)) */
export function explainHidden(path: string, mountInfo = readMountInfo()): string {
  const own = PRIVATE.find(({ folder }) => path === folder || path.startsWith(`${folder}/`));
  if (own === undefined) return '';
  const isOwn = mountInfo.split('\n').some(line => {
    // ID, parent, device, root of the mount in its file system, mount point.
    const [, , , root = '', mountPoint] = line.split(' ');
    return mountPoint === own.folder && /\/systemd-private-|\/systemd\/inaccessible\//.test(root);
  });
  if (!isOwn && !(own.setting === 'ProtectHome=' && isEmptyMount(own.folder, mountInfo))) return '';
  return ` vmsecretd sees a ${own.folder} of its own (${own.setting} of its unit): what a shell sees there is elsewhere; use another folder.`;
}

/** `ProtectHome=tmpfs`. */
function isEmptyMount(folder: string, mountInfo: string): boolean {
  return mountInfo.split('\n').some(line => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , , mountPoint, options = ''] = before.split(' ');
    return mountPoint === folder && after.startsWith('tmpfs ') && options.split(',').includes('ro');
  });
}

function readMountInfo(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return '';
  }
}
