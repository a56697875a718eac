// The stop ladder: ask the guest, then the VMM, then the kernel. It ends when the VMM is gone.
import { setTimeout as delay } from 'node:timers/promises';
import { VmsecretdError } from '../errors.js';
import type { RunningVm } from './start-vm.js';

export const STOP_STEPS = ['power-button', 'shutdown', 'SIGTERM', 'SIGKILL'] as const;
export type StopStep = (typeof STOP_STEPS)[number];

/** How long each rung but the guest's own gets. */
const RUNG_TIMEOUT_MS = { shutdown: 5_000, SIGTERM: 2_000 };
/** Before a VMM whose queue was full is asked again. */
const AGAIN_MS = 500;

export interface StopOptions {
  isPaused: boolean;
  /** How long the guest has to power off. */
  timeoutMs: number;
  /** @param timeoutMs how long the step gets; undefined for the last */
  onStep(step: StopStep, timeoutMs?: number): void;
  /** Ends the guest's time to power off; the VMM is asked next. */
  hurry?: AbortSignal;
  /** Skips what is left of the ladder: `kill` during a stop. */
  signal: AbortSignal;
}

export async function stopVm({ control, vmm }: RunningVm, options: StopOptions): Promise<void> {
  const hurry = options.hurry ?? new AbortController().signal;
  const goneWithin = async (timeoutMs: number, early = options.signal) => {
    const timer = new AbortController();
    const late = delay(timeoutMs, false, { signal: AbortSignal.any([timer.signal, early]) }).catch(
      () => false,
    );
    const gone = await Promise.race([vmm.exited.then(() => true), late]);
    timer.abort();
    return gone;
  };
  /** The answer, or what came before it: the end of the VMM, or of the patience with it. */
  const ask = async (
    request: () => Promise<void>,
    timeoutMs: number,
    early?: AbortSignal,
  ): Promise<Heard> => {
    const answer = request().then(
      (): Heard => 'answered',
      error => hear(error),
    );
    // A VMM that is gone answers nothing, and owes no answer.
    const waited = goneWithin(timeoutMs, early).then((gone): Heard => (gone ? 'answered' : 'late'));
    return Promise.race([answer, waited]);
  };
  /** @returns whether the VMM is to be asked on: it is there still, and listens */
  const askGuest = async (): Promise<boolean> => {
    const deadline = performance.now() + options.timeoutMs;
    const left = () => (hurry.aborted ? 1 : Math.max(1, deadline - performance.now()));
    const early = AbortSignal.any([options.signal, hurry]);
    // A paused guest hears no button.
    if (options.isPaused) await ask(() => control.resume(), left(), early);
    options.onStep('power-button', options.timeoutMs);
    // A VMM under load, or one that was halted, may answer late: its guest has its whole time all the same.
    for (;;) {
      const heard = await ask(() => control.powerButton(left()), left(), early);
      if (heard === 'deaf') return false;
      if (heard === 'answered') return !(await goneWithin(left(), early));
      if ((await goneWithin(Math.min(AGAIN_MS, left()), early)) || options.signal.aborted) return false;
      if (performance.now() >= deadline || hurry.aborted) return true;
    }
  };
  const climb = async (): Promise<boolean> => {
    if (options.signal.aborted) return false;
    if (!(await askGuest()) || options.signal.aborted) return goneWithin(0);
    options.onStep('shutdown', RUNG_TIMEOUT_MS.shutdown);
    const shutdown = await ask(() => control.shutdown(), RUNG_TIMEOUT_MS.shutdown);
    if (shutdown === 'deaf' || options.signal.aborted) return goneWithin(0);
    if (shutdown === 'answered' && (await goneWithin(RUNG_TIMEOUT_MS.shutdown))) return true;
    options.onStep('SIGTERM', RUNG_TIMEOUT_MS.SIGTERM);
    vmm.kill('SIGTERM');
    return goneWithin(RUNG_TIMEOUT_MS.SIGTERM);
  };
  if (!(await climb())) {
    options.onStep('SIGKILL');
    vmm.kill('SIGKILL');
  }
  await vmm.exited;
}

/** `late`: the VMM has not answered yet; `deaf`: nobody listens, though its process lives. */
type Heard = 'answered' | 'late' | 'deaf';

function hear(error: unknown): Heard {
  if (!(error instanceof VmsecretdError)) throw error;
  if (error.details.answered === true) return 'answered';
  return error.code === 'vmm_timeout' ? 'late' : 'deaf';
}
