// Walks a path as the kernel does, and refuses, for root, what somebody else could have put there: a link that leads
// root to a file of their choice, and, where it matters, the file itself.
//
// INVARIANT: each step starts at an open folder, so that nothing that was looked at can be exchanged before it is used.
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemErrorCode } from '../errors.js';

/**
 * `links`: every link on the way stands where only root makes entries; the file may be anybody's.
 * `root`: so does everything on the way, and only root can write to the file.
 */
export type Trust = 'links' | 'root';

/** What is wrong, and what to do. */
export class UntrustedPathError extends Error {
  override readonly name = 'UntrustedPathError';
}

/** A link that leads nowhere; its message is a clause about the path that leads there. */
export class BrokenLinkError extends Error {
  override readonly name = 'BrokenLinkError';
  readonly code: 'ENOENT' | 'ELOOP';

  constructor(code: 'ENOENT' | 'ELOOP', message: string) {
    super(message);
    this.code = code;
  }
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
 * Where links led when they were first followed, by their own path. Who passes the same for several paths reads them all
 * from one generation of a folder that a link is swapped to, as agenix and sops-nix swap theirs.
 */
export type LinkTargets = Map<string, string>;

/**
 * @param trust undefined asks nothing, for who may read what they may
 * @returns a descriptor of the file as a place; the caller closes it, and opens it as /proc/self/fd/N
 * @throws UntrustedPathError, BrokenLinkError, or the system's error as it is
 */
export function openTrustedPlace(
  path: string,
  trust: Trust | undefined,
  targets: LinkTargets = new Map(),
): number {
  let place = openSync('/', STEP);
  const ahead = namesOf(path);
  let passed: string[] = [];
  const followed: string[] = [];
  try {
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const entry = `/proc/self/fd/${place}/${name}`;
      const shown = `/${[...passed, name].join('/')}`;
      const stats = lookAt(entry, shown, followed);
      const isLink = stats.isSymbolicLink();
      if (trust === 'root' || (trust === 'links' && isLink)) requireRootsOwn(fstatSync(place), stats, shown);
      if (!isLink) {
        place = replace(place, openSync(entry, STEP));
        passed = name === '..' ? passed.slice(0, -1) : [...passed, name];
        continue;
      }
      if (followed.length === MAXIMUM_LINKS) throw loopAt(shown, followed);
      followed.push(shown);
      const target = targets.get(shown) ?? readlinkSync(entry);
      targets.set(shown, target);
      ahead.unshift(...namesOf(target));
      if (!target.startsWith('/')) continue;
      place = replace(place, openSync('/', STEP));
      passed = [];
    }
    if (trust === 'root') requireRootsFile(fstatSync(place), path);
    return place;
  } catch (error) {
    closeSync(place);
    throw error;
  }
}

/** @param followed the links on the way there */
function lookAt(entry: string, shown: string, followed: readonly string[]): Stats {
  try {
    return lstatSync(entry);
  } catch (error) {
    const link = followed.at(-1);
    if (link === undefined || systemErrorCode(error) !== 'ENOENT') throw error;
    throw new BrokenLinkError('ENOENT', `leads by the link ${link} to ${shown}, which does not exist`);
  }
}

function loopAt(link: string, followed: readonly string[]): BrokenLinkError {
  const message = followed.includes(link)
    ? `leads into a loop of links at ${link}`
    : `leads through more than ${MAXIMUM_LINKS} links`;
  return new BrokenLinkError('ELOOP', message);
}

/** @returns whether a link leads elsewhere by now, or nowhere */
export function haveLinksMoved(targets: LinkTargets): boolean {
  return [...targets].some(([link, target]) => {
    try {
      return readlinkSync(link) !== target;
    } catch {
      return true;
    }
  });
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
  // Nor is somebody's home.
  const isTheirs = isSticky || /^\/(home|run\/user)\//.test(path);
  const mend = isTheirs ? 'put it where root alone writes' : mendFor(folder, dirname(path));
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
