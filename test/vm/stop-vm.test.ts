import { test } from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import type { VmmExit } from '../../src/supervisor/vmm-process.js';
import type { RunningVm } from '../../src/vm/start-vm.js';
import { type StopStep, stopVm } from '../../src/vm/stop-vm.js';

const NEVER = new AbortController().signal;

/** A VMM that is gone at step `until`; a request throws what `refusals` has for it. */
function startVmm(until: StopStep, refusals: Partial<Record<StopStep, Error>> = {}) {
  const steps: StopStep[] = [];
  let end: (exit: VmmExit) => void = () => {};
  const exited = new Promise<VmmExit>(resolve => {
    end = resolve;
  });
  const reach = (step: StopStep) => {
    if (step === until) end({ status: 0, signal: null, lastWords: '' });
  };
  const request = (step: StopStep) => async () => {
    reach(step);
    if (refusals[step]) throw refusals[step];
  };
  const running = {
    control: { powerButton: request('power-button'), shutdown: request('shutdown') },
    vmm: { exited, kill: reach },
  } as unknown as RunningVm;
  return { steps, running, onStep: (step: StopStep) => steps.push(step) };
}

const refusal = (details: { answered?: boolean }) =>
  new VmsecretdError('vmm_refused', 'refused', { details });

test('asks the guest first, and no more when it obeys', async t => {
  const { steps, running, onStep } = startVmm('power-button');
  await stopVm(running, { isPaused: false, timeoutMs: 10_000, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button']);
});

test('asks the VMM when the guest does not obey in time', async t => {
  const { steps, running, onStep } = startVmm('shutdown');
  await stopVm(running, { isPaused: false, timeoutMs: 1, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button', 'shutdown']);
});

test('goes on up the ladder when the VMM answers and refuses', async t => {
  const refusals = { 'power-button': refusal({ answered: true }), shutdown: refusal({ answered: true }) };
  const { steps, running, onStep } = startVmm('shutdown', refusals);
  await stopVm(running, { isPaused: false, timeoutMs: 1, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button', 'shutdown']);
});

test('kills a VMM that does not answer', async t => {
  const { steps, running, onStep } = startVmm('SIGKILL', { 'power-button': refusal({}) });
  await stopVm(running, { isPaused: false, timeoutMs: 10_000, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button', 'SIGKILL']);
});

test('does not kill a VMM that went while it was asked', async t => {
  const { steps, running, onStep } = startVmm('power-button', { 'power-button': refusal({}) });
  await stopVm(running, { isPaused: false, timeoutMs: 10_000, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button']);
});

test('kills at once when a kill comes during the stop', async t => {
  const { steps, running, onStep } = startVmm('SIGKILL');
  const kill = new AbortController();
  const stopping = stopVm(running, { isPaused: false, timeoutMs: 10_000, onStep, signal: kill.signal });
  kill.abort();
  await stopping;
  t.strictSame(steps, ['power-button', 'SIGKILL']);
});
