// The lifecycle of a VM whose VMM is the main process of a systemd unit. systemd starts, stops and restarts it;
// this follows, answers the launcher, and creates the VM inside the VMM.
//
// INVARIANTS
// - The state is what systemd says of the unit, except that `running` begins when vm.boot was answered.
// - A launch takes no lock: it is a step of the start that systemd has in progress. One launch for one process.
// - Signals go through systemd, since the daemon may not send any to another user's process.
import { setTimeout as delay } from 'node:timers/promises';
import { VmsecretdError } from '../errors.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import type { LaunchRequest } from '../supervisor/launch-request.js';
import { type Systemctl, type UnitFacts, unitPhase } from '../supervisor/systemctl.js';
import type { UnitWatch } from '../supervisor/unit-watch.js';
import type { VmmProcess } from '../supervisor/vmm-process.js';
import { isSameProcess, processListensOn } from '../system/procfs.js';
import { adoptVmm, attachToVmm, isRecordedVmm } from './adoption.js';
import { pauseGuest, rebootGuest, resumeGuest, startInterrupted, stateConflict } from './guest-controls.js';
import type { Lifecycle } from './lifecycle.js';
import { keepRecord, readRecord, removeRecord } from './record.js';
import { type PreparedVm, type RunningVm, type StartTools, startVm } from './start-vm.js';
import { stopVm } from './stop-vm.js';
import type { Vm } from './vm.js';

export interface UnitLifecycleTools {
  startTools(): StartTools;
  /** Bounds the starts that run at once, of all VMs. */
  startLimit: <Result>(work: () => Promise<Result>) => Promise<Result>;
  systemctl: Systemctl;
  unitWatch: UnitWatch;
  checkLaunch(pid: number): Promise<LaunchRequest>;
  /** The answer to a launcher, from the plan and its working directory. */
  writeAnswer(plan: VmPlan, workingDirectory: string): string;
  /** Tells the unit's own journal. */
  writeJournal(message: string): Promise<void>;
}

interface Attempt {
  process: string;
  abort: AbortController;
  done: Promise<void>;
}

/** How often a launched VMM is looked at until it listens; it takes some 4 ms. */
const LISTEN_POLL_MS = 2;

type Decision = { booted: true } | { booted: false; error: VmsecretdError };

export class UnitLifecycle implements Lifecycle {
  readonly #vm: Vm;
  readonly #tools: UnitLifecycleTools;
  readonly #unit: string;
  readonly #unwatch: () => void;
  /** Told of every change of the unit, and of every start that was decided. */
  readonly #listeners = new Set<(facts: UnitFacts | undefined, decision?: Decision) => void>();
  #facts: UnitFacts | undefined;
  #attempt: Attempt | undefined;
  /** The unit's run that the present attempt or VMM belongs to. */
  #invocation: string | null = null;
  /** The unit's last run whose launch failed: what systemd says of that run is no news. */
  #failedInvocation: string | null = null;
  #ending: Promise<void> = Promise.resolve();

  constructor(vm: Vm, tools: UnitLifecycleTools) {
    this.#vm = vm;
    this.#tools = tools;
    this.#unit = vm.definition.unit;
    this.#unwatch = tools.unitWatch.watch(this.#unit, facts => this.#follow(facts));
  }

  async start(): Promise<void> {
    const vm = this.#vm;
    if (vm.state === 'running') return;
    if (vm.state === 'paused') throw stateConflict(vm, 'start', 'resume it instead');
    const before = await this.#showUnit();
    const decided = this.#untilDecided(before, ['failed', 'stopped']);
    if (unitPhase(before) === 'failed') await this.#tools.systemctl.resetFailed(this.#unit);
    if (unitPhase(before) !== 'starting') await this.#tools.systemctl.start(this.#unit);
    await decided.promise;
  }

  async stop(): Promise<void> {
    const facts = await this.#showUnit();
    // systemd stops the unit already, and this is its ExecStop= asking for the ladder.
    if (unitPhase(facts) === 'stopping') return this.#climbDown();
    this.#attempt?.abort.abort(startInterrupted(this.#vm, 'stop'));
    const stopped = this.#untilDown();
    await this.#tools.systemctl.stop(this.#unit);
    await stopped;
  }

  async restart(): Promise<void> {
    const before = await this.#showUnit();
    const decided = this.#untilDecided(before, ['failed']);
    if (unitPhase(before) === 'failed') await this.#tools.systemctl.resetFailed(this.#unit);
    await this.#tools.systemctl.restart(this.#unit);
    await decided.promise;
  }

  async kill(): Promise<void> {
    const facts = await this.#showUnit();
    this.#attempt?.abort.abort(startInterrupted(this.#vm, 'kill'));
    const stopped = this.#untilDown();
    await this.#tools.systemctl.stop(this.#unit);
    if (facts.mainPid !== null) await this.#killUnit();
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

  /** @returns what the launcher is to execute @throws VmsecretdError forbidden, or why the VM cannot start */
  async launch(pid: number): Promise<string> {
    const request = await this.#tools.checkLaunch(pid);
    const process = `${pid} ${request.process.startTimeTicks}`;
    const last = this.#attempt;
    if (last?.process === process) {
      throw new VmsecretdError('forbidden', `VM ${this.#vm.name}: process ${pid} was launched already`);
    }
    last?.abort.abort(startInterrupted(this.#vm, 'a newer launch'));
    await last?.done;
    await this.#ending;
    return new Promise((resolve, reject) => {
      const abort = new AbortController();
      const done = this.#bringUp(request, abort.signal, resolve).catch(reject);
      this.#invocation = request.invocationId;
      this.#attempt = { process, abort, done };
    });
  }

  async adopt(): Promise<void> {
    const vm = this.#vm;
    const record = await readRecord(vm.paths.record);
    if (record === undefined) return;
    if (!(await isRecordedVmm(record))) {
      // One that does not listen yet is still the unit's launcher, or a VMM that nobody will give a VM.
      if (await isSameProcess(record.pid, record.startTimeTicks)) await this.#killUnit();
      return removeRecord(vm.paths.record);
    }
    const { hypervisor } = this.#tools.startTools();
    if (record.phase === 'starting' && !(await hypervisor.isBooted(vm.name, record.apiSocket))) {
      await this.#killUnit();
      return removeRecord(vm.paths.record);
    }
    const running = await adoptVmm(vm.name, record, hypervisor, signal => void this.#killUnit(signal));
    await vm.reports.open(running.channels, running.credentials);
    this.#invocation = (await this.#tools.systemctl.show(this.#unit)).invocationId;
    vm.adopted(running, record);
    this.#watch(running);
    // systemd may have begun to stop it while nobody looked.
    if (this.#facts !== undefined) this.#follow(this.#facts);
  }

  close(): void {
    this.#unwatch();
    this.#attempt?.abort.abort(startInterrupted(this.#vm, 'the end of the daemon'));
  }

  async #bringUp(request: LaunchRequest, signal: AbortSignal, answer: (text: string) => void): Promise<void> {
    const vm = this.#vm;
    let answered = false;
    // A new run proves that the last one is over, whether or not systemd's word of it came through.
    if (vm.state !== 'failed' && vm.state !== 'starting') vm.transition('ended');
    vm.transition('start');
    try {
      const running = await this.#tools.startLimit(() =>
        startVm(this.#tools.startTools(), {
          definition: vm.definition,
          paths: vm.paths,
          console: vm.console,
          ...(request.command === undefined ? {} : { command: request.command }),
          launcher: request.process,
          workingDirectory: request.process.workingDirectory,
          ownsConsole: false,
          obtainVmm: async (prepared, both) => {
            const { plan } = prepared;
            const text = this.#tools.writeAnswer(plan, request.process.workingDirectory);
            await this.#keepStarting(prepared, request);
            answered = true;
            answer(text);
            return this.#untilListening(plan, request, both);
          },
          onPrepared: async ({ plan, credentials }, notes) => {
            vm.credentialsPrepared(credentials, notes);
            await vm.reports.open(plan.channels, credentials);
          },
          signal,
        }),
      );
      vm.booted(running);
      this.#watch(running);
      await keepRecord(vm, running, 'running');
      this.#tell({ booted: true });
    } catch (error) {
      await this.#launchFailed(request, error, answered);
    }
  }

  async #launchFailed({ invocationId }: LaunchRequest, error: unknown, answered: boolean): Promise<void> {
    const vm = this.#vm;
    vm.fail(error, 'start-failed');
    await vm.reports.close();
    await removeRecord(vm.paths.record);
    const { code, detail } = vm.describeProblem(error);
    this.#attempt = undefined;
    this.#failedInvocation = invocationId;
    this.#tell({ booted: false, error: new VmsecretdError(code, detail, { details: { vm: vm.name } }) });
    // Before the answer the launcher itself prints the error; after it, it has become the VMM.
    if (!answered) throw error;
    await this.#tools.writeJournal(detail);
  }

  #keepStarting({ plan, ...prepared }: PreparedVm, { process }: LaunchRequest): Promise<void> {
    const vmm = {
      pid: process.pid,
      startTimeTicks: process.startTimeTicks,
      exited: new Promise<never>(() => {}),
      kill: () => {},
    };
    return keepRecord(this.#vm, { ...plan, ...prepared, vmm }, 'starting');
  }

  /** A file at the path says nothing about who made it: this very process must listen there. */
  async #untilListening(plan: VmPlan, { process }: LaunchRequest, signal: AbortSignal): Promise<VmmProcess> {
    const { pid, startTimeTicks } = process;
    while (!(await processListensOn(pid, plan.apiSocket))) {
      if (!(await isSameProcess(pid, startTimeTicks))) {
        throw new VmsecretdError(
          'vmm_refused',
          `VM ${plan.vm}: ${plan.program} ended at once; see journalctl -u ${this.#unit}`,
          {
            details: { vm: plan.vm },
          },
        );
      }
      await delay(LISTEN_POLL_MS, undefined, { signal }).catch(async () => {
        await this.#killUnit();
        throw signal.reason;
      });
    }
    return attachToVmm({
      pid,
      startTimeTicks,
      apiSocket: plan.apiSocket,
      kill: name => void this.#killUnit(name),
    });
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
      this.#ending = this.#vmmGone();
    });
  }

  async #vmmGone(): Promise<void> {
    const vm = this.#vm;
    await vm.reports.close();
    await removeRecord(vm.paths.record);
    const facts = await this.#tools.systemctl.show(this.#unit);
    const signalled = facts.result === 'signal' || facts.result === 'core-dump';
    this.#attempt = undefined;
    vm.vmmGone({
      status: signalled ? null : facts.mainStatus,
      signal: signalled ? `signal ${facts.mainStatus}` : null,
    });
    this.#follow(facts);
  }

  /** Takes what systemd says over into the state. */
  #follow(facts: UnitFacts): void {
    const vm = this.#vm;
    this.#facts = facts;
    vm.guestStatus = facts.statusText;
    const phase = unitPhase(facts);
    const isOurs = vm.running !== undefined || this.#attempt !== undefined;
    // What was read while an earlier run ended says nothing of this one.
    if (isOurs && facts.invocationId !== this.#invocation) return;
    if (phase === 'active' && vm.definition.ready === 'notify' && vm.running !== undefined) vm.becomeReady();
    if (phase === 'stopping') vm.transition('stop');
    if (phase === 'starting' && !isOurs && facts.invocationId !== this.#failedInvocation)
      vm.transition('start');
    if (phase === 'failed' && !isOurs) this.#unitFailed(facts);
    if (phase === 'stopped' && !isOurs && vm.transition('ended')) vm.problem = null;
    for (const listener of this.#listeners) listener(facts);
  }

  #unitFailed(facts: UnitFacts): void {
    const vm = this.#vm;
    // What kept a launch from starting the VM says more than what systemd made of it.
    if (vm.state === 'failed') return;
    vm.fail(
      this.#failure(facts),
      vm.state === 'starting' || vm.state === 'stopped' ? 'start-failed' : 'broke',
    );
  }

  #failure(facts: UnitFacts): VmsecretdError {
    const { name } = this.#vm;
    return new VmsecretdError(
      'supervisor_failed',
      `VM ${name}: ${this.#unit} failed (${facts.result}, status ${facts.mainStatus}); see journalctl -u ${this.#unit}`,
      { details: { vm: name, unit: this.#unit } },
    );
  }

  #tell(decision: Decision): void {
    for (const listener of this.#listeners) listener(undefined, decision);
    if (this.#facts !== undefined) this.#follow(this.#facts);
  }

  /** Settles once the start that is asked for is decided, by a launch or by systemd. */
  #untilDecided(before: UnitFacts, ends: readonly string[]): { promise: Promise<void> } {
    const unchanged = JSON.stringify(before);
    const promise = this.#listen<void>((facts, decision) => {
      if (decision?.booted === true) return { done: undefined };
      if (decision?.booted === false) throw decision.error;
      if (facts === undefined || !ends.includes(unitPhase(facts)) || JSON.stringify(facts) === unchanged)
        return;
      throw this.#failure(facts);
    });
    promise.catch(() => {});
    return { promise };
  }

  #untilDown(): Promise<void> {
    return this.#listen<void>(facts => {
      const down = facts !== undefined && ['stopped', 'failed'].includes(unitPhase(facts));
      return down ? { done: undefined } : undefined;
    });
  }

  /** @param judge gives what to settle with, throws to reject, or undefined to go on */
  #listen<Result>(
    judge: (facts: UnitFacts | undefined, decision?: Decision) => { done: Result } | undefined,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const listener = (facts: UnitFacts | undefined, decision?: Decision) => {
        try {
          const judged = judge(facts, decision);
          if (judged === undefined) return;
          resolve(judged.done);
        } catch (error) {
          reject(error);
        }
        this.#listeners.delete(listener);
      };
      this.#listeners.add(listener);
    });
  }

  async #showUnit(): Promise<UnitFacts> {
    const facts = await this.#tools.systemctl.show(this.#unit);
    if (facts.loadState !== 'not-found') return facts;
    throw new VmsecretdError(
      'supervisor_failed',
      `VM ${this.#vm.name}: there is no unit ${this.#unit}; install systemd/microvm@.service, or name another in "unit"`,
      { details: { vm: this.#vm.name, unit: this.#unit } },
    );
  }

  async #killUnit(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    // A unit that is gone needs no signal.
    await this.#tools.systemctl.kill(this.#unit, signal).catch(() => {});
  }
}
