// How often a guest may ask: what goes beyond waits or is refused, so that its host spends a bounded part of a CPU on it.
import { setTimeout as delay } from 'node:timers/promises';

export interface Rate {
  /** So many at once, after a rest. */
  burst: number;
  /** And one more each. */
  intervalMs: number;
}

export class RequestRate {
  readonly #rate: Rate;
  #left: number;
  #countedAt = performance.now();

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#left = rate.burst;
  }

  /** Settles when it may be served. */
  async take(signal: AbortSignal): Promise<void> {
    this.#refill();
    this.#left -= 1;
    if (this.#left < 0) await delay(-this.#left * this.#rate.intervalMs, undefined, { signal });
  }

  /** @returns whether it is within the rate; if not, it is not counted */
  mayTake(): boolean {
    this.#refill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  #refill(): void {
    const { burst, intervalMs } = this.#rate;
    const now = performance.now();
    const earned = Math.floor((now - this.#countedAt) / intervalMs);
    this.#countedAt += earned * intervalMs;
    this.#left = Math.min(burst, this.#left + earned);
  }
}
