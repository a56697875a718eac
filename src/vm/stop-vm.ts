// The stop ladder: ask the guest, then the VMM, then the kernel. It ends when the VMM is gone.
import { setTimeout as delay } from 'node:timers/promises';
import { VmsecretdError } from '../errors.js';
import type { RunningVm } from './start-vm.js';

export type StopStep = 'power-button' | 'shutdown' | 'SIGTERM' | 'SIGKILL';

/** How long each rung but the guest's own gets. */
const RUNG_TIMEOUT_MS = { shutdown: 5_000, SIGTERM: 2_000 };

export interface StopOptions {
  isPaused: boolean;
  /** How long the guest has to power off. */
  timeoutMs: number;
  onStep(step: StopStep): void;
  /** Skips what is left of the ladder: `kill` during a stop. */
  signal: AbortSignal;
}

export async function stopVm({ control, vmm }: RunningVm, options: StopOptions): Promise<void> {
  const goneWithin = async (timeoutMs: number) => {
    const timer = new AbortController();
    const late = delay(timeoutMs, false, { signal: AbortSignal.any([timer.signal, options.signal]) }).catch(
      () => false,
    );
    const gone = await Promise.race([vmm.exited.then(() => true), late]);
    timer.abort();
    return gone;
  };
  const ask = async (step: 'power-button' | 'shutdown', request: () => Promise<void>) => {
    options.onStep(step);
    // A VMM that is gone answers nothing, and owes no answer.
    return Promise.race([request(), vmm.exited]).then(
      () => true,
      error => {
        // A VMM that does not answer while its process lives answers nothing else either.
        if (error instanceof VmsecretdError) return !isDeaf(error);
        throw error;
      },
    );
  };
  const climb = async (): Promise<boolean> => {
    if (options.signal.aborted) return false;
    // A paused guest hears no button.
    if (options.isPaused) await control.resume().catch(() => {});
    if (!(await ask('power-button', () => control.powerButton()))) return goneWithin(0);
    if (await goneWithin(options.timeoutMs)) return true;
    if (options.signal.aborted || !(await ask('shutdown', () => control.shutdown()))) return false;
    if (await goneWithin(RUNG_TIMEOUT_MS.shutdown)) return true;
    options.onStep('SIGTERM');
    vmm.kill('SIGTERM');
    return goneWithin(RUNG_TIMEOUT_MS.SIGTERM);
  };
  if (!(await climb())) {
    options.onStep('SIGKILL');
    vmm.kill('SIGKILL');
  }
  await vmm.exited;
}

function isDeaf(error: VmsecretdError): boolean {
  return error.details.answered !== true;
}
