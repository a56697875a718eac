// Starts a VM again whose VMM ended, or that was not to be started, when the restart policy says so.

import type { Vm } from '../../vm/vm.js';
import { nextRestart } from './restart-policy.js';

/** Between starts that fail of what the host lacks. */
const FIRST_LACK_DELAY_MS = 1_000;
const LONGEST_LACK_DELAY_MS = 30_000;

export class Restarts {
  readonly #vm: Vm;
  readonly #start: () => Promise<void>;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When it failed, in ms of the monotonic clock: the wall clock may be set. */
  #failures: number[] = [];
  /** How many starts in a row failed of what the host lacks. */
  #lacks = 0;

  constructor(vm: Vm, start: () => Promise<void>) {
    this.#vm = vm;
    this.#start = start;
  }

  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** A start by request begins to count anew. */
  forgetFailures(): void {
    this.#failures = [];
    this.#lacks = 0;
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#vm.planAttempt(undefined);
  }

  /** @param clean whether the guest powered off by itself */
  schedule(clean: boolean): void {
    const vm = this.#vm;
    const now = performance.now();
    if (!clean) this.#failures.push(now);
    const next = nextRestart(vm.definition.restart, clean, this.#failures, now);
    if (next.kind === 'none') return;
    if (next.kind === 'give-up') {
      vm.annotateProblem(next.reason);
      return;
    }
    this.#startIn(next.delayMs);
  }

  /**
   * A start that the VM's policy asked for failed, and may do better the next time. What the host lacks may come, so that is
   * never given up; for secrets SecretRetry waits.
   */
  startFailed(): void {
    const { state, problem, definition } = this.#vm;
    if (state !== 'failed' || problem === null || problem.code.startsWith('secret_')) return;
    if (problem.code !== 'resource_conflict') this.schedule(false);
    else if (definition.restart !== 'no') {
      this.#startIn(Math.min(LONGEST_LACK_DELAY_MS, FIRST_LACK_DELAY_MS * 2 ** this.#lacks));
      this.#lacks += 1;
    }
  }

  #startIn(delayMs: number): void {
    this.cancel();
    this.#vm.planAttempt(delayMs);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#count += 1;
      this.#vm.recordRestarts(this.#count);
      // What fails is told by the VM's own problem.
      this.#start().catch(() => this.startFailed());
    }, delayMs);
  }
}
