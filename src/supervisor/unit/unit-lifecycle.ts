// The lifecycle of a VM whose VMM is the main process of a systemd unit: systemd starts, stops and restarts it, and is
// asked to.
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';

import { VmsecretdError } from '../../errors.js';
import { requireStartable } from '../../preflight/check-vm.js';
import { adoptVmm, findIsPaused } from '../../recovery/adoption.js';
import { isWaitingToRestart, type Systemctl, unitPhase } from '../../system/systemctl.js';
import {
  pauseGuest,
  rebootGuest,
  resumeGuest,
  startInterrupted,
  stateConflict,
} from '../../vm/guest-controls.js';
import type { Lifecycle } from '../../vm/lifecycle.js';
import { isUnitRecord, type UnitRecord } from '../../vm/record.js';
import type { Vm } from '../../vm/vm.js';
import type { VmmExit } from '../../vm/vmm-process.js';
import { FollowedUnit, type FollowedUnitTools } from './followed-unit.js';
import { UnitLaunches, type UnitLaunchTools } from './unit-launches.js';

/** At it the VMM shuts down in order. */
const SIGTERM_TIMEOUT_MS = 5_000;

export interface UnitLifecycleTools extends FollowedUnitTools, UnitLaunchTools {}

export class UnitLifecycle implements Lifecycle {
  readonly launches: UnitLaunches;
  readonly #vm: Vm;
  readonly #tools: UnitLifecycleTools;
  readonly #systemctl: Systemctl;
  readonly #unit: FollowedUnit;
  /** Ends waits for systemd and the checks of restarts; the jobs of systemd go on. */
  readonly #closed = new AbortController();
  #checks = new AbortController();
  /** One at a time: a VMM that resets runs afterwards, though it was paused meanwhile. */
  readonly #control = pLimit(1);
  /** Clears away what a VMM that has ended left. */
  #clearing: Promise<void> = Promise.resolve();

  constructor(vm: Vm, tools: UnitLifecycleTools) {
    this.#vm = vm;
    this.#tools = tools;
    this.#systemctl = tools.systemctl;
    this.#unit = new FollowedUnit({
      vm,
      systemctl: tools.systemctl,
      unitWatch: tools.unitWatch,
      onVmmExit: exit => this.#handleVmmExit(exit),
      onStopDuringLaunch: () => this.launches.interrupt('a stop of its unit'),
    });
    this.launches = new UnitLaunches({
      vm,
      unit: this.#unit,
      tools,
      untilCleared: () => this.#clearing,
    });
  }

  async start(): Promise<void> {
    const vm = this.#vm;
    if (vm.state === 'running') return;
    if (vm.state === 'paused') throw stateConflict(vm, 'start', 'resume it instead');
    const facts = await this.#unit.show();
    if (unitPhase(facts) === 'failed' && !isWaitingToRestart(facts))
      await this.#systemctl.resetFailed(this.#unit.name);
    // A start of a unit that waits for RestartSec= would wait as long.
    await this.#untilLaunched(isWaitingToRestart(facts) ? 'restart' : 'start');
  }

  async stop(graceSeconds?: number): Promise<void> {
    this.#endChecks('stop');
    await this.#unit.show();
    this.launches.interrupt('stop');
    const stopped = new AbortController();
    if (graceSeconds !== undefined) void this.#endVmm(graceSeconds * 1000, stopped.signal);
    await this.#bringDown(() => this.#systemctl.stop(this.#unit.name).finally(() => stopped.abort()));
  }

  async restart(): Promise<void> {
    await this.#requireStartable();
    await this.#unit.show();
    await this.#untilLaunched('restart');
  }

  /** What is left of the stop ladder, of which systemd's ExecStop= waits for the first rung. @param signal the unit is down */
  async #endVmm(delayMs: number, signal: AbortSignal): Promise<void> {
    try {
      await delay(delayMs, undefined, { signal });
      this.#vm.stopReached('SIGTERM', SIGTERM_TIMEOUT_MS);
      await this.#unit.kill('SIGTERM');
      await delay(SIGTERM_TIMEOUT_MS, undefined, { signal });
      this.#vm.stopReached('SIGKILL');
      await this.#unit.kill('SIGKILL');
    } catch {
      // It was down before.
    }
  }

  async kill(): Promise<void> {
    this.#endChecks('kill');
    await this.#unit.show();
    this.launches.interrupt('kill');
    this.#vm.transition('stop');
    // The stop keeps Restart= from starting the unit again, whichever comes first.
    await this.#bringDown(() => Promise.all([this.#systemctl.stop(this.#unit.name), this.#unit.kill()]));
  }

  pause(): Promise<void> {
    return this.#control(() => pauseGuest(this.#vm));
  }

  resume(): Promise<void> {
    return this.#control(() => resumeGuest(this.#vm));
  }

  reboot(): Promise<void> {
    return this.#control(() => rebootGuest(this.#vm));
  }

  async adopt(): Promise<void> {
    const vm = this.#vm;
    const { records } = this.#tools;
    const record = await records.read(vm.name);
    const facts = await this.#systemctl.show(this.#unit.name);
    const phase = unitPhase(facts);
    const isUp = phase === 'active' || phase === 'starting' || phase === 'stopping';
    const ofThisRun =
      record !== undefined && isUnitRecord(record) && record.vmm.invocationId === facts.invocationId
        ? record
        : undefined;
    if (ofThisRun === undefined || !isUp) {
      await records.remove(vm.name);
      if (phase === 'active') vm.fail(this.#unknownVmm(), 'start-failed');
      return;
    }
    // Its ExecStartPre= asks this daemon again.
    if (facts.subState === 'start-pre') return;
    await this.#adoptRecorded(ofThisRun);
  }

  close(): void {
    this.#unit.close();
    this.launches.interrupt('the end of the daemon');
    this.#endChecks('the end of the daemon');
    this.#closed.abort(startInterrupted(this.#vm, 'the end of the daemon'));
  }

  async #adoptRecorded(record: UnitRecord): Promise<void> {
    const vm = this.#vm;
    const { hypervisor } = this.#tools.startTools();
    if (record.phase === 'starting' && !(await this.#isBooted())) {
      // A VMM that no daemon will give a VM: systemd starts the unit again, and its ExecStartPre= asks this daemon.
      await this.#unit.kill();
      return this.#tools.records.remove(vm.name);
    }
    const { vmm } = this.#unit.adoptRun(record.vmm.invocationId);
    const running = await adoptVmm(vm.name, record, hypervisor, vmm);
    const isPaused = await findIsPaused(vm.name, record, hypervisor).catch(async error => {
      // systemd starts the unit again.
      await this.#unit.kill();
      await this.#tools.records.remove(vm.name);
      throw error;
    });
    await vm.reports.reopen(running);
    vm.adopted(running, { ...record, isPaused });
    // systemd may have begun to stop it meanwhile.
    await this.#unit.refresh();
  }

  async #isBooted(): Promise<boolean> {
    const { hypervisor } = this.#tools.startTools();
    return hypervisor.isBooted(this.#vm.name, this.#vm.paths.apiSocket).catch(() => false);
  }

  /** Asks systemd, and waits until the launch is decided. @throws VmsecretdError why the VM was not started */
  async #untilLaunched(verb: 'start' | 'restart'): Promise<void> {
    const unit = this.#unit;
    const outcome = unit.nextOutcome();
    const waiting = new AbortController();
    const job = this.#systemctl[verb](unit.name, AbortSignal.any([waiting.signal, this.#closed.signal]));
    try {
      await Promise.race([outcome.promise, this.#judge(job, outcome.promise)]);
      // Its ExecStartPost= is at its end: then systemd agrees that it runs.
      if ((await unit.refresh()).subState === 'start-post') {
        await job;
        await unit.refresh();
      }
    } finally {
      outcome.forget();
      waiting.abort();
      job.catch(() => {});
    }
  }

  /** A job of systemd that ends before a launch was decided. */
  async #judge(job: Promise<void>, outcome: Promise<void>): Promise<void> {
    const failed = await job.then(
      () => undefined,
      (error: unknown) => error,
    );
    // The launch knows why its VM was not started; systemd knows only that a process failed.
    if (this.#unit.isLaunching) return outcome;
    const facts = await this.#unit.refresh();
    if (this.#vm.running !== undefined) return;
    if (unitPhase(facts) === 'failed' || !facts.conditionMet) throw this.#unit.failure(facts);
    throw failed ?? this.#unknownVmm();
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

  /** What was asked to stop is stopped: that it took a SIGKILL is no failure of the unit then. */
  async #bringDown(stop: () => Promise<unknown>): Promise<void> {
    const unit = this.#unit;
    unit.stopsUnderway += 1;
    try {
      await stop();
      if (unitPhase(await unit.show()) === 'failed') await this.#systemctl.resetFailed(unit.name);
      await unit.refresh();
    } finally {
      unit.stopsUnderway -= 1;
    }
  }

  /** Else a restart that is checked would undo a stop that was answered. */
  #endChecks(by: string): void {
    this.#checks.abort(startInterrupted(this.#vm, by));
    this.#checks = new AbortController();
  }

  #handleVmmExit(exit: VmmExit): void {
    const vm = this.#vm;
    vm.handleVmmExit(exit);
    const clear = async () => {
      await vm.reports.close();
      await this.#tools.records.settled(vm.name);
    };
    this.#clearing = clear();
  }

  #unknownVmm(): VmsecretdError {
    const { name } = this.#vm;
    const unit = this.#unit.name;
    return new VmsecretdError(
      'supervisor_failed',
      `VM ${name}: ${unit} runs without vmsecretd: no ExecStartPre=+vmsecretd-launch --prepare of this version started it; systemctl restart ${unit}`,
      { details: { vm: name, unit } },
    );
  }
}
