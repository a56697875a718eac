// The systemd unit of a VM: what systemd says of it becomes the state of the VM.
//
// INVARIANTS
// - A run is one InvocationID of the unit. It begins with the unit's ExecStartPre=, or when its VMM is adopted.
// - The launch of a run alone decides whether its VM was started: what systemd says meanwhile ends the launch at most.
// - What systemd says of a run before this one is ignored.
import { constants } from 'node:os';
import { VmsecretdError } from '../../errors.js';
import { showUnit } from '../../preflight/check-host.js';
import { isWaitingToRestart, type Systemctl, type UnitFacts, unitPhase } from '../../system/systemctl.js';
import type { Vm } from '../../vm/vm.js';
import type { VmmExit, VmmProcess } from '../../vm/vmm-process.js';
import type { UnitWatch } from './unit-watch.js';

export interface FollowedUnitTools {
  systemctl: Systemctl;
  unitWatch: Pick<UnitWatch, 'watch'>;
}

export interface FollowedUnitOptions extends FollowedUnitTools {
  vm: Vm;
  /** The VMM of a booted run has ended. */
  onVmmExit(exit: VmmExit): void;
  /** systemd stops a unit that is being launched. */
  onStopDuringLaunch(): void;
}

/** One run of the unit, from its ExecStartPre= to its end. */
export interface UnitRun {
  readonly invocationId: string;
  /** The main process, once it is the VMM. */
  readonly vmm: VmmProcess;
}

type RunPhase = 'launching' | 'booted' | 'failed';

class Run implements UnitRun {
  readonly invocationId: string;
  readonly vmm: VmmProcess;
  phase: RunPhase;
  /** Whether systemd has spoken of this run. Until it has, what it says of another is of an earlier one. */
  isSeen = false;
  mainPid: number | null = null;
  cgroup: string | undefined;
  end: (exit: VmmExit) => void = () => {};

  constructor(invocationId: string, phase: RunPhase, kill: VmmProcess['kill']) {
    this.invocationId = invocationId;
    this.phase = phase;
    const exited = new Promise<VmmExit>(resolve => {
      this.end = resolve;
    });
    const run = this;
    this.vmm = {
      id: { invocationId },
      get pid() {
        return run.mainPid;
      },
      get cgroup() {
        return run.cgroup;
      },
      exited,
      kill,
    };
  }
}

interface OutcomeListener {
  booted(): void;
  failed(error: VmsecretdError): void;
}

/** More runs than systemd can begin while one answer of systemctl is on its way. */
const REMEMBERED_RUNS = 8;

export class FollowedUnit {
  readonly name: string;
  /** How many stops of ours are underway: what ends then has not failed, however it ends. */
  stopsUnderway = 0;
  readonly #options: FollowedUnitOptions;
  readonly #unwatch: () => void;
  readonly #outcomeListeners = new Set<OutcomeListener>();
  #facts: UnitFacts | undefined;
  #run: Run | undefined;
  #earlierRuns: string[] = [];

  constructor(options: FollowedUnitOptions) {
    this.#options = options;
    this.name = options.vm.definition.unit;
    this.#unwatch = options.unitWatch.watch(this.name, facts => this.#follow(facts));
  }

  close(): void {
    this.#unwatch();
  }

  /** @throws VmsecretdError supervisor_failed: there is no such unit */
  show(): Promise<UnitFacts> {
    const { vm, systemctl } = this.#options;
    return showUnit(systemctl, vm);
  }

  /** Sends a signal to the main process, through systemd: the daemon may not send any to another user's process. */
  async kill(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    // A unit that has ended needs no signal.
    await this.#options.systemctl.kill(this.name, signal).catch(() => {});
  }

  /** A new run, whose VM is being launched. It proves that the run before is over. */
  beginRun(invocationId: string): UnitRun {
    this.#endRun(undefined);
    return this.#setRun(invocationId, 'launching');
  }

  /** A run whose VM an earlier daemon booted. */
  adoptRun(invocationId: string): UnitRun {
    return this.#setRun(invocationId, 'booted');
  }

  runBooted(): void {
    if (this.#run !== undefined) this.#run.phase = 'booted';
    for (const listener of this.#outcomeListeners) listener.booted();
    this.#catchUp();
  }

  runFailed(error: VmsecretdError): void {
    if (this.#run !== undefined) this.#run.phase = 'failed';
    for (const listener of this.#outcomeListeners) listener.failed(error);
    this.#catchUp();
  }

  /** @returns how the launch in progress, or else the next one, ends; call `forget` when it is of no interest any more */
  nextOutcome(): { promise: Promise<void>; forget(): void } {
    let forget = () => {};
    const promise = new Promise<void>((resolve, reject) => {
      const listener: OutcomeListener = {
        booted: () => {
          forget();
          resolve();
        },
        failed: error => {
          forget();
          reject(error);
        },
      };
      forget = () => this.#outcomeListeners.delete(listener);
      this.#outcomeListeners.add(listener);
    });
    promise.catch(() => {});
    return { promise, forget };
  }

  get isLaunching(): boolean {
    return this.#run?.phase === 'launching';
  }

  /** Reads how the unit is, so that the state of the VM is not older than this call. */
  async refresh(): Promise<UnitFacts> {
    const facts = await this.show();
    this.#follow(facts);
    return facts;
  }

  /** Why the unit does not run, as systemd tells it. */
  failure({ result, mainStatus, conditionMet }: UnitFacts): VmsecretdError {
    const { name } = this.#options.vm;
    const why = conditionMet
      ? `failed (${result}, status ${mainStatus}); see journalctl -u ${this.name}`
      : `was not started, because a condition of it is not met; see systemctl status ${this.name}`;
    return new VmsecretdError('supervisor_failed', `VM ${name}: ${this.name} ${why}`, {
      details: { vm: name, unit: this.name },
    });
  }

  #setRun(invocationId: string, phase: RunPhase): Run {
    const earlier = [this.#run?.invocationId, this.#facts?.invocationId].filter(
      id => id != null && id !== invocationId,
    ) as string[];
    this.#earlierRuns = [...this.#earlierRuns, ...earlier].slice(-REMEMBERED_RUNS);
    // Read before this run began: later it would tell that the run has ended.
    if (this.#facts?.invocationId !== invocationId) this.#facts = undefined;
    this.#run = new Run(invocationId, phase, signal => void this.kill(signal));
    this.#catchUp();
    return this.#run;
  }

  #catchUp(): void {
    if (this.#facts !== undefined) this.#follow(this.#facts);
  }

  #follow(facts: UnitFacts): void {
    const { vm } = this.#options;
    this.#facts = facts;
    if (this.#run !== undefined && facts.invocationId !== this.#run.invocationId) {
      if (this.#isOfEarlierRun(facts, this.#run)) return;
      this.#endRun(facts);
    }
    if (this.#run !== undefined) this.#run.isSeen = true;
    vm.recordRestarts(facts.restarts);
    const hadMainProcess = this.#run?.mainPid != null;
    if (this.#run !== undefined) {
      this.#run.mainPid = facts.mainPid;
      this.#run.cgroup = facts.controlGroup ?? undefined;
      vm.recordGuestStatus(facts.statusText);
    }
    if (this.#run?.phase === 'launching') this.#followLaunch(this.#run, facts, hadMainProcess);
    else if (this.#run?.phase === 'booted') this.#followBooted(facts);
    else this.#followUnlaunched(facts);
  }

  #isOfEarlierRun({ invocationId }: UnitFacts, run: Run): boolean {
    // A unit that is down has no run. Before a launch that is no news, after it the run has ended.
    if (invocationId === null) return run.phase === 'launching';
    return !run.isSeen || this.#earlierRuns.includes(invocationId);
  }

  #followLaunch(run: Run, facts: UnitFacts, hadMainProcess: boolean): void {
    const phase = unitPhase(facts);
    // An ExecStartPost= that waits for this launch keeps the unit starting after its main process has ended.
    const hasLostMainProcess = facts.mainPid === null && (hadMainProcess || facts.subState === 'start-post');
    if (hasLostMainProcess || phase === 'failed' || phase === 'stopped') run.end(this.#exitOf(facts));
    // A VMM that ended by itself is `stopping`, too, but not with success.
    if (phase === 'stopping' && facts.result === 'success') this.#options.onStopDuringLaunch();
  }

  #followBooted(facts: UnitFacts): void {
    const { vm } = this.#options;
    const phase = unitPhase(facts);
    if (phase === 'active' && vm.definition.ready === 'notify') vm.becomeReady();
    // Its ExecStop= presses the button. One that broke is `stopping`, too, while other processes of the unit are ended.
    if (phase === 'stopping' && facts.result === 'success' && vm.transition('stop'))
      vm.stopReached('power-button', vm.definition.stopTimeoutSeconds * 1000);
    if (phase === 'failed' || phase === 'stopped') this.#endRun(facts);
  }

  /** Before its first launch, or after one that failed or ended. */
  #followUnlaunched(facts: UnitFacts): void {
    const { vm } = this.#options;
    const phase = unitPhase(facts);
    // Of a launch that failed, its own error says more than what systemd made of it.
    const isFailedLaunch = this.#run?.invocationId === facts.invocationId && this.#run?.phase === 'failed';
    if (phase === 'starting' && !isFailedLaunch) vm.transition('start');
    if (phase === 'failed' && !isFailedLaunch && vm.state !== 'failed' && this.stopsUnderway === 0)
      vm.fail(this.failure(facts), vm.state === 'running' ? 'broke' : 'start-failed');
    if (phase === 'failed' && isWaitingToRestart(facts)) vm.noteRetry(facts.restartDelay);
    if (phase === 'stopped') vm.end();
  }

  /** @param facts undefined where only a later run tells that this one has ended */
  #endRun(facts: UnitFacts | undefined): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    const isOfThisRun =
      facts !== undefined && (facts.invocationId === null || facts.invocationId === run.invocationId);
    const exit = isOfThisRun ? this.#exitOf(facts) : { status: null, signal: null, lastWords: '' };
    run.end(exit);
    if (run.phase !== 'booted') return;
    const { vm, onVmmExit } = this.#options;
    onVmmExit(exit);
    if (isOfThisRun && unitPhase(facts) === 'failed' && this.stopsUnderway === 0) {
      vm.fail(this.failure(facts), 'broke');
      if (isWaitingToRestart(facts)) vm.noteRetry(facts.restartDelay);
    } else vm.end();
  }

  #exitOf({ mainStatus, mainEndedBySignal }: UnitFacts): VmmExit {
    const where = { lastWords: '', seeAlso: `see journalctl -u ${this.name}` };
    if (!mainEndedBySignal) return { status: mainStatus, signal: null, ...where };
    const signals = Object.entries(constants.signals);
    const name = signals.find(([, number]) => number === mainStatus)?.[0];
    return { status: null, signal: name ?? `signal ${mainStatus}`, ...where };
  }
}
