import { test } from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import type { RunningVm } from '../../src/vm/start-vm.js';
import { type StopStep, stopVm } from '../../src/vm/stop-vm.js';
import type { VmmExit } from '../../src/vm/vmm-process.js';

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

test('a VMM that is late to answer keeps its guest’s time', async t => {
  const { steps, running, onStep } = startVmm('power-button');
  const asked: number[] = [];
  const { control, vmm } = running;
  const late = {
    vmm,
    control: {
      ...control,
      powerButton: async (timeoutMs: number) => {
        asked.push(timeoutMs);
        if (asked.length === 1) throw new VmsecretdError('vmm_timeout', 'its queue is full');
        await control.powerButton(timeoutMs);
      },
    },
  } as unknown as RunningVm;
  await stopVm(late, { isPaused: false, timeoutMs: 60_000, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button']);
  t.ok(
    asked.every(timeoutMs => timeoutMs > 58_000 && timeoutMs <= 60_000),
    String(asked),
  );
});

test('climbs the whole ladder for a VMM that never answers, once its guest’s time is over', async t => {
  const { steps, running, onStep } = startVmm('SIGTERM');
  const never = () => new Promise<void>(() => {});
  const halted = {
    vmm: running.vmm,
    control: { powerButton: never, shutdown: never },
  } as unknown as RunningVm;
  const beganAt = performance.now();
  await stopVm(halted, { isPaused: false, timeoutMs: 1_000, onStep, signal: NEVER });
  t.strictSame(steps, ['power-button', 'shutdown', 'SIGTERM']);
  t.ok(performance.now() - beganAt >= 1_000);
});

test('a kill ends the wait for a VMM that does not answer', async t => {
  const { steps, running, onStep } = startVmm('SIGKILL');
  const control = { powerButton: () => new Promise<void>(() => {}) };
  const kill = new AbortController();
  const halted = { vmm: running.vmm, control } as unknown as RunningVm;
  const stopping = stopVm(halted, { isPaused: false, timeoutMs: 60_000, onStep, signal: kill.signal });
  kill.abort();
  await stopping;
  t.strictSame(steps, ['power-button', 'SIGKILL']);
});
