// Looks at paths of operators' choice without giving them this process: a mount that hangs holds one of libuv's few threads for each
// call, and four of them would hold the daemon. A mount that has not answered in time is passed over until it does.
//
// INVARIANT: at most STUCK_LOOKS threads wait for file systems that do not answer, however many there are.
import { readFileSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import pLimit from 'p-limit';
import { systemErrorCode } from '../errors.js';

/** Of libuv's four threads. */
const STUCK_LOOKS = 2;
const PATIENCE_MS = 3_000;
/** As the kernel follows (path_resolution(7)). */
const MAXIMUM_LINKS = 40;

export interface PatientLooksOptions {
  patienceMs?: number;
  /** Told once for each path that does not answer. */
  onSilence(path: string): void;
}

export class PatientLooks {
  readonly #options: PatientLooksOptions;
  /** One after the other: of a mount that hangs, one look is stuck before it is known. */
  readonly #limit = pLimit(1);
  /** What each stuck look is about: a mount point, or the path itself. */
  readonly #stuck = new Map<Promise<unknown>, string>();
  /** The same question at once is one call. */
  readonly #underway = new Map<string, Promise<unknown>>();

  constructor(options: PatientLooksOptions) {
    this.#options = options;
  }

  /** Whether threads wait for file systems that do not answer: then this process cannot exit, only be ended. */
  get isStuck(): boolean {
    return this.#stuck.size > 0;
  }

  /** @returns undefined where the file system of the path does not answer @throws what `look` throws */
  async ask<Answer>(path: string, kind: string, look: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.isSilent(path)) return undefined;
    const key = `${kind} ${path}`;
    const underway = this.#underway.get(key) as Promise<Answer | undefined> | undefined;
    if (underway !== undefined) return underway;
    const asked = this.#limit(() => (this.isSilent(path) ? undefined : this.#askOnce(path, look))).finally(
      () => this.#underway.delete(key),
    );
    this.#underway.set(key, asked);
    return asked;
  }

  /** @returns null for what is no link, undefined for what is not there or does not answer */
  readLink(path: string): Promise<string | null | undefined> {
    return this.ask<string | null>(path, 'readlink', () => readlink(path)).catch(error =>
      systemErrorCode(error) === 'EINVAL' ? null : undefined,
    );
  }

  /**
   * Follows a path step by step, through its links, so that the first step that does not answer is the last one.
   * @returns whether every step has answered, be it that there is nothing
   */
  async reach(path: string): Promise<boolean> {
    const names = stepsOf(path);
    let folder = '/';
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const entry = join(folder, name);
      const target = await this.readLink(entry);
      if (target === undefined) return !this.isSilent(entry);
      if (target === null) folder = entry;
      else {
        links += 1;
        if (links > MAXIMUM_LINKS) return true;
        names.unshift(...stepsOf(target));
        if (isAbsolute(target)) folder = '/';
      }
    }
    return true;
  }

  /** Whether a look at the path would not be answered. */
  isSilent(path: string): boolean {
    if (this.#stuck.size >= STUCK_LOOKS) return true;
    return [...this.#stuck.values()].some(silent => path === silent || path.startsWith(`${silent}/`));
  }

  async #askOnce<Answer>(path: string, look: () => Promise<Answer>): Promise<Answer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const looked = look();
    const late = new Promise<undefined>(resolve => {
      timer = setTimeout(() => {
        this.#stuck.set(looked, silentPlaceOf(path));
        this.#options.onSilence(path);
        resolve(undefined);
      }, this.#options.patienceMs ?? PATIENCE_MS);
    });
    const settled = () => void this.#stuck.delete(looked);
    looked.then(settled, settled);
    try {
      return await Promise.race([looked, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** `..` stays, for join(): a folder that was followed has no link in it. */
function stepsOf(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.');
}

/** The mount that the path is on; the path itself where that is all there is. */
function silentPlaceOf(path: string): string {
  // ID, parent, device, root of the mount in its file system, mount point.
  const mountPoints = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap(line => line.split(' ')[4] ?? []);
  for (let place = path; place !== '/' && place !== '.'; place = dirname(place))
    if (mountPoints.includes(place)) return place;
  return path;
}
