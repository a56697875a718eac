// Looks at paths of operators' choice without giving them this process: a mount that hangs holds one of libuv's few threads for each
// call, and four of them would hold the daemon. A path that has not answered in time is passed over, with all below it, until it does.
import pLimit from 'p-limit';

/** Of libuv's four threads. */
const CONCURRENT_LOOKS = 2;
const PATIENCE_MS = 3_000;

export interface PatientLooksOptions {
  patienceMs?: number;
  /** Told once for each path that does not answer. */
  onSilence(path: string): void;
}

export class PatientLooks {
  readonly #options: PatientLooksOptions;
  readonly #limit = pLimit(CONCURRENT_LOOKS);
  readonly #silent = new Set<string>();
  /** The same question at once is one call. */
  readonly #underway = new Map<string, Promise<unknown>>();

  constructor(options: PatientLooksOptions) {
    this.#options = options;
  }

  /** @returns undefined where the path, or one above it, does not answer @throws what `look` throws */
  async ask<Answer>(path: string, kind: string, look: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.#isSilent(path)) return undefined;
    const key = `${kind} ${path}`;
    const underway = this.#underway.get(key) as Promise<Answer | undefined> | undefined;
    if (underway !== undefined) return underway;
    const asked = this.#limit(() => (this.#isSilent(path) ? undefined : this.#askOnce(path, look))).finally(
      () => this.#underway.delete(key),
    );
    this.#underway.set(key, asked);
    return asked;
  }

  async #askOnce<Answer>(path: string, look: () => Promise<Answer>): Promise<Answer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>(resolve => {
      timer = setTimeout(() => {
        this.#silent.add(path);
        this.#options.onSilence(path);
        resolve(undefined);
      }, this.#options.patienceMs ?? PATIENCE_MS);
    });
    const looked = look();
    const settled = () => void this.#silent.delete(path);
    looked.then(settled, settled);
    try {
      return await Promise.race([looked, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #isSilent(path: string): boolean {
    return [...this.#silent].some(silent => path === silent || path.startsWith(`${silent}/`));
  }
}
