// pause, resume and reboot of a guest that runs: the same for every supervisor.
import { VmsecretdError } from '../errors.js';
import type { LifecycleVerb } from './lifecycle.js';
import type { RunningVm } from './start-vm.js';
import type { VmState } from './state.js';
import type { Vm } from './vm.js';

export async function pauseGuest(vm: Vm): Promise<void> {
  if (vm.state === 'paused') return;
  const running = requireState(vm, 'pause', 'running');
  await running.control.pause();
  vm.transition('pause');
}

export async function resumeGuest(vm: Vm): Promise<void> {
  if (vm.state === 'running') return;
  const running = requireState(vm, 'resume', 'paused');
  await running.control.resume();
  vm.transition('resume');
}

/** The guest keeps the VM config that it was created with, secrets included, and has yet to report. */
export async function rebootGuest(vm: Vm): Promise<void> {
  const running = requireState(vm, 'reboot', 'running');
  // Before it: the next guest may report before the VMM has answered, and who gives no answer may have reset it.
  vm.resetGuest();
  await reset(vm, running, vm.definition.startTimeoutSeconds * 1000);
}

/** A VMM that cannot make its devices again has no guest any more: it is ended, and the VM is one that broke. */
async function reset(vm: Vm, running: RunningVm, timeoutMs: number): Promise<void> {
  const { control, vmm } = running;
  try {
    await control.reboot(timeoutMs);
  } catch (error) {
    if (await runsStill(running)) throw explainReboot(vm, running, error);
    vmm.kill('SIGKILL');
    const why = error instanceof VmsecretdError ? error.message : String(error);
    throw new VmsecretdError('vmm_refused', `${why}; its guest is gone, so its VMM was ended`, {
      details: { vm: vm.name },
      cause: explainReboot(vm, running, error),
    });
  }
}

/** Only a guest that runs can be paused. One whose VMM does not say may run. */
async function runsStill({ control }: RunningVm): Promise<boolean> {
  try {
    await control.pause();
    await control.resume();
    return true;
  } catch (error) {
    return !(error instanceof VmsecretdError) || error.details.answered !== true;
  }
}

/** A reset ends the connections to programs such as virtiofsd, which end with it, and the VMM waits for them. */
function explainReboot(vm: Vm, { plan }: RunningVm, error: unknown): unknown {
  const [socket] = plan?.needs.sockets ?? [];
  if (socket === undefined || !(error instanceof VmsecretdError) || error.code !== 'vmm_timeout')
    return error;
  const remedy =
    vm.definition.preStart.length > 0 ? ', or restart the VM, which runs its preStart again' : '';
  const why = `the program at the ${socket.what} ${socket.path} may have ended with the reset; start it again${remedy}`;
  return new VmsecretdError(error.code, `${error.message}; ${why}`, { details: error.details, cause: error });
}

export function stateConflict(vm: Vm, verb: LifecycleVerb | 'refresh', what: string): VmsecretdError {
  return new VmsecretdError('state_conflict', `VM ${vm.name} is ${vm.state}, so it cannot ${verb}: ${what}`, {
    details: { vm: vm.name, state: vm.state },
  });
}

/** Ends a start: `by` says what ended it. */
export function startInterrupted(vm: Vm, by: string): VmsecretdError {
  return new VmsecretdError('state_conflict', `VM ${vm.name}: the start was ended by ${by}`, {
    details: { vm: vm.name },
  });
}

function requireState(vm: Vm, verb: LifecycleVerb, state: VmState): RunningVm {
  if (vm.running !== undefined && vm.state === state) return vm.running;
  throw stateConflict(vm, verb, `that takes a VM that is ${state}`);
}
