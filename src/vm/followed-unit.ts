// The systemd unit of a VM: what systemd says of it becomes the state of the VM, and tells whoever waits for it.
//
// INVARIANTS
// - The state is what systemd says of the unit, except that `running` begins when vm.boot was answered.
// - While a run of the unit is ours, being launched or with a VMM, systemd's word of any other run is no news.
// - Signals go through systemd, since the daemon may not send any to another user's process.
import { VmsecretdError } from '../errors.js';
import { type Systemctl, type UnitFacts, type UnitPhase, unitPhase } from '../supervisor/systemctl.js';
import type { UnitWatch } from '../supervisor/unit-watch.js';
import type { Vm } from './vm.js';

export interface FollowedUnitTools {
  systemctl: Systemctl;
  unitWatch: Pick<UnitWatch, 'watch'>;
}

type Decision = { booted: true } | { booted: false; error: VmsecretdError };
type Listener = (facts: UnitFacts | undefined, decision?: Decision) => void;
type InvocationId = UnitFacts['invocationId'];

export class FollowedUnit {
  readonly name: string;
  readonly #vm: Vm;
  readonly #systemctl: Systemctl;
  readonly #unwatch: () => void;
  /** Told of every change of the unit, and of every start that was decided. */
  readonly #listeners = new Set<Listener>();
  #facts: UnitFacts | undefined;
  #ourRun: { invocationId: InvocationId } | undefined;
  /** The last run whose launch failed: what systemd says of it is no news either. */
  #failedRun: InvocationId = null;

  constructor(vm: Vm, { systemctl, unitWatch }: FollowedUnitTools) {
    this.#vm = vm;
    this.#systemctl = systemctl;
    this.name = vm.definition.unit;
    this.#unwatch = unitWatch.watch(this.name, facts => this.#follow(facts));
  }

  close(): void {
    this.#unwatch();
  }

  /** @throws VmsecretdError supervisor_failed: there is no such unit */
  async show(): Promise<UnitFacts> {
    const facts = await this.#systemctl.show(this.name);
    if (facts.loadState !== 'not-found') return facts;
    throw new VmsecretdError(
      'supervisor_failed',
      `VM ${this.#vm.name}: there is no unit ${this.name}; install systemd/microvm@.service, or name another in "unit"`,
      { details: { vm: this.#vm.name, unit: this.name } },
    );
  }

  async kill(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    // A unit that is gone needs no signal.
    await this.#systemctl.kill(this.name, signal).catch(() => {});
  }

  launchBegan(invocationId: InvocationId): void {
    this.#ourRun = { invocationId };
  }

  launchBooted(): void {
    this.#tell({ booted: true });
  }

  launchFailed(invocationId: InvocationId, error: VmsecretdError): void {
    this.#ourRun = undefined;
    this.#failedRun = invocationId;
    this.#tell({ booted: false, error });
  }

  /** The VMM of its present run was found. */
  async adopted(): Promise<void> {
    const { invocationId } = await this.#systemctl.show(this.name);
    this.#ourRun = { invocationId };
  }

  /** systemd may say more of the unit than was taken over so far. */
  catchUp(facts = this.#facts): void {
    if (facts !== undefined) this.#follow(facts);
  }

  /** Its VMM is gone. */
  runEnded(): void {
    this.#ourRun = undefined;
  }

  /** Settles once the start that is asked for next is decided, by a launch or by systemd; in an object, so as not to be awaited. */
  untilDecided(before: UnitFacts, ends: readonly UnitPhase[]): { promise: Promise<void> } {
    const unchanged = JSON.stringify(before);
    const promise = this.#listen((facts, decision) => {
      if (decision !== undefined) {
        if (!decision.booted) throw decision.error;
        return true;
      }
      if (facts === undefined || !ends.includes(unitPhase(facts)) || JSON.stringify(facts) === unchanged)
        return false;
      throw this.#failure(facts);
    });
    promise.catch(() => {});
    return { promise };
  }

  /** Settles once its ExecStartPost=, if it is at that, is through: then systemd agrees that it runs. */
  async untilStarted(): Promise<void> {
    const isThrough = this.#listen(facts => {
      if (facts === undefined || facts.subState === 'start-post') return false;
      if (unitPhase(facts) === 'active') return true;
      throw this.#failure(facts);
    });
    isThrough.catch(() => {});
    if ((await this.show()).subState === 'start-post') await isThrough;
  }

  untilDown(): Promise<void> {
    return this.#listen(facts => facts !== undefined && ['stopped', 'failed'].includes(unitPhase(facts)));
  }

  /** @param judge whether it is what is waited for; throws to reject */
  #listen(judge: (...told: Parameters<Listener>) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const listener: Listener = (facts, decision) => {
        try {
          if (!judge(facts, decision)) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        this.#listeners.delete(listener);
      };
      this.#listeners.add(listener);
    });
  }

  #tell(decision: Decision): void {
    for (const listener of this.#listeners) listener(undefined, decision);
    this.catchUp();
  }

  #follow(facts: UnitFacts): void {
    const vm = this.#vm;
    this.#facts = facts;
    vm.guestStatus = facts.statusText;
    const phase = unitPhase(facts);
    const isOurs = this.#ourRun !== undefined;
    if (isOurs && facts.invocationId !== this.#ourRun?.invocationId) return;
    if (phase === 'active' && vm.definition.ready === 'notify' && vm.running !== undefined) vm.becomeReady();
    if (phase === 'stopping') vm.transition('stop');
    if (phase === 'starting' && !isOurs && facts.invocationId !== this.#failedRun) vm.transition('start');
    if (phase === 'failed' && !isOurs) this.#failed(facts);
    if (phase === 'stopped' && !isOurs && vm.transition('ended')) vm.problem = null;
    for (const listener of this.#listeners) listener(facts);
  }

  #failed(facts: UnitFacts): void {
    const vm = this.#vm;
    // What kept a launch from starting the VM says more than what systemd made of it.
    if (vm.state === 'failed') return;
    const wasUp = vm.state !== 'starting' && vm.state !== 'stopped';
    vm.fail(this.#failure(facts), wasUp ? 'broke' : 'start-failed');
  }

  #failure({ result, mainStatus }: UnitFacts): VmsecretdError {
    const { name } = this.#vm;
    return new VmsecretdError(
      'supervisor_failed',
      `VM ${name}: ${this.name} failed (${result}, status ${mainStatus}); see journalctl -u ${this.name}`,
      { details: { vm: name, unit: this.name } },
    );
  }
}
