// Walks a path as the kernel does, and refuses, for root, what somebody else could have put there: a link that leads
// root to a file of their choice, and, where it matters, the file itself.
//
// INVARIANT: each step starts at an open folder, so that nothing that was looked at can be exchanged before it is used.
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * `links`: every link on the way stands where only root makes entries; the file may be anybody's.
 * `root`: so does everything on the way, and only root can write to the file.
 */
export type Trust = 'links' | 'root';

/** What is wrong, and what to do. */
export class UntrustedPathError extends Error {
  override readonly name = 'UntrustedPathError';
}

/** open(2)'s, which Node does not name: a place in the file system, without a right to its content. */
const O_PATH = 0o10000000;
const STEP = O_PATH | constants.O_NOFOLLOW;
/** path_resolution(7). */
const MAXIMUM_LINKS = 40;
/** Mode bits of a group or of all. */
export const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * @returns a descriptor of the file as a place; the caller closes it, and opens it as /proc/self/fd/N
 * @throws UntrustedPathError, or the system's error as it is
 */
export function openTrustedPlace(path: string, trust: Trust): number {
  let place = openSync('/', STEP);
  const ahead = namesOf(path);
  const passed: string[] = [];
  let links = 0;
  try {
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const entry = `/proc/self/fd/${place}/${name}`;
      const stats = lstatSync(entry);
      const shown = `/${[...passed, name].join('/')}`;
      if (trust === 'root' || stats.isSymbolicLink()) requireRootsOwn(fstatSync(place), stats, shown);
      if (!stats.isSymbolicLink()) {
        place = replace(place, openSync(entry, STEP));
        passed.push(name);
        continue;
      }
      links += 1;
      if (links > MAXIMUM_LINKS) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
      const target = readlinkSync(entry);
      ahead.unshift(...namesOf(target));
      if (!target.startsWith('/')) continue;
      place = replace(place, openSync('/', STEP));
      passed.length = 0;
    }
    if (trust === 'root') requireRootsFile(fstatSync(place), path);
    return place;
  } catch (error) {
    closeSync(place);
    throw error;
  }
}

/** For what is opened elsewhere. As root only: somebody else reads and runs what they may. @throws as `openTrustedPlace` */
export function requireTrusted(path: string, trust: Trust): void {
  if (process.geteuid?.() === 0) closeSync(openTrustedPlace(resolve(path), trust));
}

function namesOf(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.');
}

function replace(old: number, next: number): number {
  closeSync(old);
  return next;
}

/** In a folder with the sticky bit, as /tmp and the Nix store, only its owner changes an entry. */
function requireRootsOwn(folder: Stats, entry: Stats, path: string): void {
  const isOthers = folder.uid !== 0 || (folder.mode & WRITABLE_BY_OTHERS) !== 0;
  const isSticky = folder.uid === 0 && (folder.mode & STICKY) !== 0;
  if (!isOthers || (isSticky && entry.uid === 0)) return;
  const kind = entry.isSymbolicLink() ? 'the link ' : '';
  // A folder as /tmp stays everybody's; what somebody else has put there is not to be given to root.
  const mend = isSticky ? 'put it where root alone writes' : mendFor(folder, dirname(path));
  throw new UntrustedPathError(`somebody other than root can replace ${kind}${path}; ${mend}`);
}

function requireRootsFile(file: Stats, path: string): void {
  if (file.uid === 0 && (file.mode & WRITABLE_BY_OTHERS) === 0) return;
  throw new UntrustedPathError(`somebody other than root can write to it; ${mendFor(file, path)}`);
}

/** Changes only what is wrong: a file of root's group asks for no chown. */
function mendFor({ uid, mode }: Stats, path: string): string {
  const who = `${mode & 0o020 ? 'g' : ''}${mode & 0o002 ? 'o' : ''}`;
  const commands = [...(uid === 0 ? [] : [`chown root ${path}`]), ...(who && [`chmod ${who}-w ${path}`])];
  return commands.join(' && ');
}
