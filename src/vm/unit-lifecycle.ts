// The lifecycle of a VM whose VMM is the main process of a systemd unit: systemd starts, stops and restarts it, and is
// asked to.
import { type Systemctl, unitPhase } from '../supervisor/systemctl.js';
import { isSameProcess } from '../system/procfs.js';
import { adoptVmm, canAdopt } from './adoption.js';
import { requireStartable } from './check-vm.js';
import { FollowedUnit, type FollowedUnitTools } from './followed-unit.js';
import { pauseGuest, rebootGuest, resumeGuest, startInterrupted, stateConflict } from './guest-controls.js';
import type { Lifecycle } from './lifecycle.js';
import { readRecord, removeRecord } from './record.js';
import type { RunningVm } from './start-vm.js';
import { stopVm } from './stop-vm.js';
import { UnitLaunches, type UnitLaunchTools } from './unit-launches.js';
import type { Vm } from './vm.js';

export interface UnitLifecycleTools extends FollowedUnitTools, UnitLaunchTools {}

export class UnitLifecycle implements Lifecycle {
  readonly #vm: Vm;
  readonly #tools: UnitLifecycleTools;
  readonly #systemctl: Systemctl;
  readonly #unit: FollowedUnit;
  readonly #launches: UnitLaunches;
  /** Ends the checks of restarts. */
  #checks = new AbortController();
  /** Clears away what a VMM that is gone left. */
  #clearing: Promise<void> = Promise.resolve();

  constructor(vm: Vm, tools: UnitLifecycleTools) {
    this.#vm = vm;
    this.#tools = tools;
    this.#systemctl = tools.systemctl;
    this.#unit = new FollowedUnit(vm, tools);
    this.#launches = new UnitLaunches({
      vm,
      unit: this.#unit,
      tools,
      onBooted: running => this.#watch(running),
      untilCleared: async () => {
        // The unit runs anew, so its last VMM is gone, or about to be.
        await vm.running?.vmm.exited;
        await this.#clearing;
      },
    });
  }

  async start(): Promise<void> {
    const vm = this.#vm;
    if (vm.state === 'running') return;
    if (vm.state === 'paused') throw stateConflict(vm, 'start', 'resume it instead');
    const before = await this.#unit.show();
    const decided = this.#unit.untilDecided(before, ['failed', 'stopped']);
    if (unitPhase(before) === 'failed') await this.#systemctl.resetFailed(this.#unit.name);
    if (unitPhase(before) !== 'starting') await this.#systemctl.start(this.#unit.name);
    await decided.promise;
    await this.#unit.untilStarted();
  }

  async stop(): Promise<void> {
    this.#endChecks('stop');
    const facts = await this.#unit.show();
    // systemd stops the unit already, and this is its ExecStop= asking for the ladder.
    if (unitPhase(facts) === 'stopping') return this.#climbDown();
    this.#launches.interrupt('stop');
    const stopped = this.#unit.untilDown();
    await this.#systemctl.stop(this.#unit.name);
    await stopped;
  }

  async restart(): Promise<void> {
    await this.#requireStartable();
    const before = await this.#unit.show();
    const decided = this.#unit.untilDecided(before, ['failed']);
    if (unitPhase(before) === 'failed') await this.#systemctl.resetFailed(this.#unit.name);
    await this.#systemctl.restart(this.#unit.name);
    await decided.promise;
    await this.#unit.untilStarted();
  }

  async kill(): Promise<void> {
    this.#endChecks('kill');
    const facts = await this.#unit.show();
    this.#launches.interrupt('kill');
    const stopped = this.#unit.untilDown();
    await this.#systemctl.stop(this.#unit.name);
    if (facts.mainPid !== null) await this.#unit.kill();
    await stopped;
  }

  pause(): Promise<void> {
    return pauseGuest(this.#vm);
  }

  resume(): Promise<void> {
    return resumeGuest(this.#vm);
  }

  reboot(): Promise<void> {
    return rebootGuest(this.#vm);
  }

  launch(pid: number): Promise<string> {
    return this.#launches.launch(pid);
  }

  async adopt(): Promise<void> {
    const vm = this.#vm;
    const record = await readRecord(vm.paths.record);
    if (record === undefined) return;
    const { hypervisor } = this.#tools.startTools();
    if (!(await canAdopt(vm.name, record, hypervisor))) {
      // A launcher still, or a VMM that nobody will give a VM: systemd starts the unit again, and that asks anew.
      if (await isSameProcess(record.pid, record.startTimeTicks)) await this.#unit.kill();
      return removeRecord(vm.paths.record);
    }
    const running = await adoptVmm(vm.name, record, hypervisor, signal => void this.#unit.kill(signal));
    await vm.reports.open(running.channels, running.credentials);
    await this.#unit.adopted();
    vm.adopted(running, record);
    this.#watch(running);
    // systemd may have begun to stop it while nobody looked.
    this.#unit.catchUp();
  }

  close(): void {
    this.#unit.close();
    this.#launches.interrupt('the end of the daemon');
    this.#endChecks('the end of the daemon');
  }

  /** Before a VM that runs is stopped: it took no lock, so it may be down by the time of the answer. */
  async #requireStartable(): Promise<void> {
    const vm = this.#vm;
    const { running } = vm;
    if (running === undefined) return;
    const { signal } = this.#checks;
    await this.#tools.startLimit(() => requireStartable(vm, this.#tools.startTools(), signal));
    signal.throwIfAborted();
    if (vm.running !== running) throw stateConflict(vm, 'restart', 'its VMM ended meanwhile');
  }

  /** Else a restart that is checked would undo a stop that was answered. */
  #endChecks(by: string): void {
    this.#checks.abort(startInterrupted(this.#vm, by));
    this.#checks = new AbortController();
  }

  async #climbDown(): Promise<void> {
    const vm = this.#vm;
    const isPaused = vm.state === 'paused';
    vm.transition('stop');
    if (vm.running === undefined) return;
    await stopVm(vm.running, {
      isPaused,
      timeoutMs: vm.definition.stopTimeoutSeconds * 1000,
      onStep: step => vm.publish('stop-step', { step }),
      signal: new AbortController().signal,
    });
  }

  #watch(running: RunningVm): void {
    void running.vmm.exited.then(() => {
      this.#clearing = this.#vmmGone();
    });
  }

  async #vmmGone(): Promise<void> {
    const vm = this.#vm;
    await vm.reports.close();
    // Nobody else knows how it ended.
    const facts = await this.#unit.show().catch(() => undefined);
    this.#unit.runEnded();
    const signalled = facts?.result === 'signal' || facts?.result === 'core-dump';
    vm.vmmGone({
      status: signalled ? null : (facts?.mainStatus ?? null),
      signal: signalled ? `signal ${facts?.mainStatus}` : null,
    });
    this.#unit.catchUp(facts);
    // Not before: whoever asks something of a VM that runs writes it down anew.
    await removeRecord(vm.paths.record).catch(error => void vm.describeProblem(error));
  }
}
