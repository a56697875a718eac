// Starts a VM again whose VMM ended, when the restart policy says so.
import { nextRestart } from './restart-policy.js';
import type { Vm } from './vm.js';

export class Restarts {
  readonly #vm: Vm;
  readonly #start: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  /** When the VMM broke, in ms since the epoch. */
  #failures: number[] = [];

  constructor(vm: Vm, start: () => Promise<void>) {
    this.#vm = vm;
    this.#start = start;
  }

  /** A start by request begins to count anew. */
  forgetFailures(): void {
    this.#failures = [];
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  /** @param clean whether the guest powered off by itself */
  schedule(clean: boolean): void {
    const vm = this.#vm;
    const now = Date.now();
    if (!clean) this.#failures.push(now);
    const next = nextRestart(vm.definition.restart, clean, this.#failures, now);
    if (next.kind === 'none') return;
    if (next.kind === 'give-up') {
      if (vm.problem !== null) vm.problem = { ...vm.problem, detail: `${vm.problem.detail}; ${next.reason}` };
      return;
    }
    this.#timer = setTimeout(() => {
      vm.restarts += 1;
      this.#start().catch(() => {
        // Its problem tells why. For secrets SecretRetry waits; anything else may be better the next time.
        if (vm.state === 'failed' && !vm.problem?.code.startsWith('secret_')) this.schedule(false);
      });
    }, next.delayMs);
  }
}
