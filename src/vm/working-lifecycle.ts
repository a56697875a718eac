// Knows whether what was asked of a VM is done: between its stop and its start a VM that is restarted looks as one that is down.
import type { Launches, Lifecycle } from './lifecycle.js';

export class WorkingLifecycle implements Lifecycle {
  readonly #lifecycle: Lifecycle;
  readonly #onIdle: () => void;
  #underway = 0;

  /** @param onIdle called each time that the last of what was asked is done */
  constructor(lifecycle: Lifecycle, onIdle: () => void) {
    this.#lifecycle = lifecycle;
    this.#onIdle = onIdle;
  }

  get isWorking(): boolean {
    return this.#underway > 0;
  }

  /** Until it is taken over, a VM that runs looks as one that is down, too. */
  adopt = (): Promise<void> => this.#work(() => this.#lifecycle.adopt());
  start = (): Promise<void> => this.#work(() => this.#lifecycle.start());
  startUnasked = (): Promise<void> =>
    this.#work(() => this.#lifecycle.startUnasked?.() ?? this.#lifecycle.start());
  stop = (graceSeconds?: number): Promise<void> => this.#work(() => this.#lifecycle.stop(graceSeconds));
  restart = (): Promise<void> => this.#work(() => this.#lifecycle.restart());
  reboot = (): Promise<void> => this.#work(() => this.#lifecycle.reboot());
  kill = (): Promise<void> => this.#work(() => this.#lifecycle.kill());
  pause = (): Promise<void> => this.#work(() => this.#lifecycle.pause());
  resume = (): Promise<void> => this.#work(() => this.#lifecycle.resume());

  get launches(): Launches | undefined {
    return this.#lifecycle.launches;
  }

  close(): void {
    this.#lifecycle.close();
  }

  async #work(work: () => Promise<void>): Promise<void> {
    this.#underway += 1;
    try {
      await work();
    } finally {
      this.#underway -= 1;
      if (this.#underway === 0) this.#onIdle();
    }
  }
}
