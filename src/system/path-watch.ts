// Tells when what paths lead to may have changed. inotify on a file misses that a link on the way to it is swapped, so
// every folder on the way is watched, the folders of links among them, and each folder once for everybody.
//
// INVARIANTS
// - A folder is watched before its entry is looked at: what changes after the look is an event.
// - A folder that went and came back is another one, and is watched anew; its parent tells of it.
import { type FSWatcher, watch } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import type { PatientLooks } from './patient-looks.js';

/** A path to be followed through every link, a link of which only its own target counts, or a folder of which each entry does. */
export type WatchedPath = string | { link: string } | { folder: string };

export interface PathWatchOptions {
  looks: PatientLooks;
  /** A folder that cannot be watched: changes in it go unnoticed. */
  onProblem(folder: string, why: string): void;
  /** Changes within this time count as one. */
  debounceMs?: number;
}

interface Subscription {
  paths: readonly WatchedPath[];
  onChange(): void;
  /** Names that count, by folder. */
  entries: Map<string, Set<string>>;
  timer: NodeJS.Timeout | undefined;
  walk: Promise<void>;
  closed: boolean;
}

interface Folder {
  watcher: FSWatcher;
  /** Device and inode, or empty once it may be gone. */
  identity: string;
  subscriptions: Set<Subscription>;
}

/** Of 8,192 or more that the kernel grants a user (inotify(7), max_user_watches). */
const MAXIMUM_FOLDERS = 4_096;
/** As the kernel follows (path_resolution(7)). */
const MAXIMUM_LINKS = 40;
const DEBOUNCE_MS = 100;
/** No entry has such a name: it is longer than any file system takes. */
const EVERY_ENTRY = '*'.repeat(256);

export class PathWatch {
  readonly #options: PathWatchOptions;
  readonly #folders = new Map<string, Folder>();
  readonly #subscriptions = new Set<Subscription>();
  #isFull = false;

  constructor(options: PathWatchOptions) {
    this.#options = options;
  }

  /** How many folders are watched now. */
  get folderCount(): number {
    return this.#folders.size;
  }

  /**
   * Settles once every change from now on is told; a change so far is not.
   * @returns what ends it
   */
  async watch(paths: readonly WatchedPath[], onChange: () => void): Promise<() => void> {
    const subscription: Subscription = {
      paths,
      onChange,
      entries: new Map(),
      timer: undefined,
      walk: Promise.resolve(),
      closed: false,
    };
    this.#subscriptions.add(subscription);
    await this.#walk(subscription);
    return () => this.#end(subscription);
  }

  close(): void {
    for (const subscription of this.#subscriptions) this.#end(subscription);
  }

  #end(subscription: Subscription): void {
    subscription.closed = true;
    clearTimeout(subscription.timer);
    this.#subscriptions.delete(subscription);
    for (const folder of subscription.entries.keys()) this.#leave(folder, subscription);
  }

  #walk(subscription: Subscription): Promise<void> {
    subscription.walk = subscription.walk.then(async () => {
      const found = new Map<string, Set<string>>();
      for (const path of subscription.paths) {
        if (subscription.closed) return;
        if (typeof path === 'string') await this.#follow(path, true, subscription, found);
        else if ('link' in path) await this.#follow(path.link, false, subscription, found);
        // What is in a folder that is not there yet comes behind it.
        else await this.#follow(join(path.folder, EVERY_ENTRY), true, subscription, found);
      }
      const before = subscription.entries;
      subscription.entries = found;
      for (const folder of before.keys()) {
        if (subscription.closed || !found.has(folder)) this.#leave(folder, subscription);
      }
    });
    return subscription.walk;
  }

  /** Watches every folder on the way, as far as there is one: where it ends, what is missing is waited for. */
  async #follow(
    path: string,
    lastLinkToo: boolean,
    subscription: Subscription,
    found: Map<string, Set<string>>,
  ): Promise<void> {
    const names = splitPath(path);
    let folder = '/';
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') {
        folder = dirname(folder);
        continue;
      }
      for (const entries of [found, subscription.entries]) {
        entries.set(folder, (entries.get(folder) ?? new Set()).add(name));
      }
      if (!(await this.#enter(folder, subscription))) return;
      const entry = join(folder, name);
      const target = await this.#options.looks.readLink(entry);
      const isEnd = names.length === 0 && (target === null || !lastLinkToo);
      if (target === undefined || isEnd) return;
      if (target === null) {
        folder = entry;
        continue;
      }
      links += 1;
      if (links > MAXIMUM_LINKS) return;
      names.unshift(...splitPath(target));
      if (isAbsolute(target)) folder = '/';
    }
  }

  /** @returns whether there is such a folder; one that cannot be watched is a problem and is passed through */
  async #enter(path: string, subscription: Subscription): Promise<boolean> {
    for (;;) {
      const identity = await this.#identifyFolder(path);
      if (identity === undefined || subscription.closed) return false;
      const known = this.#folders.get(path);
      if (known?.identity === identity) {
        known.subscriptions.add(subscription);
        return true;
      }
      const folder = this.#open(path, identity, known);
      if (folder === undefined) return true;
      folder.subscriptions.add(subscription);
      // Swapped between the look and the watch, the watch would be on another folder: look again.
      if ((await this.#identifyFolder(path)) !== identity) folder.identity = '';
    }
  }

  #open(path: string, identity: string, known: Folder | undefined): Folder | undefined {
    if (known === undefined && this.#folders.size >= MAXIMUM_FOLDERS) {
      if (!this.#isFull) this.#options.onProblem(path, `${MAXIMUM_FOLDERS} folders are watched already`);
      this.#isFull = true;
      return undefined;
    }
    try {
      const watcher = watch(path, { persistent: false }, (_type, name) => this.#notice(path, watcher, name));
      watcher.on('error', () => this.#notice(path, watcher, null));
      known?.watcher.close();
      const folder = { watcher, identity, subscriptions: known?.subscriptions ?? new Set<Subscription>() };
      this.#folders.set(path, folder);
      return folder;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'ENOENT') this.#options.onProblem(path, code ?? 'unknown error');
      return undefined;
    }
  }

  #notice(path: string, watcher: FSWatcher, name: string | null): void {
    const folder = this.#folders.get(path);
    if (folder?.watcher !== watcher) return;
    // With its own name it tells that it is gone; a new folder may even have the same inode.
    const isItself = name === null || name === basename(path);
    if (isItself) folder.identity = '';
    for (const subscription of folder.subscriptions) {
      const entries = subscription.entries.get(path);
      if (isItself || entries?.has(name) || entries?.has(EVERY_ENTRY)) this.#changed(subscription);
    }
  }

  #changed(subscription: Subscription): void {
    subscription.timer ??= setTimeout(async () => {
      subscription.timer = undefined;
      await this.#walk(subscription);
      if (!subscription.closed) subscription.onChange();
    }, this.#options.debounceMs ?? DEBOUNCE_MS);
  }

  #leave(path: string, subscription: Subscription): void {
    const folder = this.#folders.get(path);
    if (folder === undefined || !folder.subscriptions.delete(subscription)) return;
    if (folder.subscriptions.size > 0) return;
    folder.watcher.close();
    this.#folders.delete(path);
  }

  async #identifyFolder(path: string): Promise<string | undefined> {
    const stats = await this.#options.looks.ask(path, 'lstat', () => lstat(path)).catch(() => undefined);
    return stats?.isDirectory() ? `${stats.dev}:${stats.ino}` : undefined;
  }
}

function splitPath(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.');
}
