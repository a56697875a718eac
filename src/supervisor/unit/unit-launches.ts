// The launches of a VM's unit: its ExecStartPre= has every secret opened, its main process becomes the VMM on the socket that
// systemd made, and there the VM is created and booted.
//
// INVARIANTS
// - One launch for one run of the unit, and one at a time: a request for the same run shares it.
// - No secret leaves the deliverer before the VMM answers on a socket that only the unit's processes have.

import { VmsecretdError } from '../../errors.js';
import { startInterrupted, stateConflict } from '../../vm/guest-controls.js';
import type { Launches, LaunchRequest } from '../../vm/lifecycle.js';
import type { RecordStore } from '../../vm/record-store.js';
import { prepareCredentials, withinStartTimeout } from '../../vm/start-vm.js';
import type { Vm } from '../../vm/vm.js';
import { EarlySecrets } from './early-secrets.js';
import type { FollowedUnit } from './followed-unit.js';
import { type StartUnitTools, startUnit } from './start-unit.js';

export interface UnitLaunchTools extends StartUnitTools {
  records: RecordStore;
  /** Writes an error into the unit's own journal. */
  writeJournal(message: string): Promise<void>;
}

export interface UnitLaunchOptions {
  vm: Vm;
  unit: FollowedUnit;
  tools: UnitLaunchTools;
  /** Settles once what is left of the run before is cleared away. */
  untilCleared(): Promise<void>;
}

interface Launch {
  invocationId: string;
  abort: AbortController;
  /** The text for the launcher. */
  prepared: Promise<string>;
  /** Booted, or failed. */
  done: Promise<void>;
}

export class UnitLaunches implements Launches {
  readonly #options: UnitLaunchOptions;
  readonly #early: EarlySecrets;
  #last: Launch | undefined;

  constructor(options: UnitLaunchOptions) {
    this.#options = options;
    const { startLimit, startTools } = options.tools;
    this.#early = new EarlySecrets({
      open: (definition, signal) =>
        startLimit(() => prepareCredentials(startTools(), definition, undefined, signal)),
    });
  }

  expect(): void {
    const { vm, unit } = this.#options;
    if (vm.running === undefined && !unit.isLaunching) this.#early.begin(vm.definition);
  }

  /** Goes on once the VMM of the run answers. */
  prepare(request: LaunchRequest): Promise<string> {
    // The launcher asks again when its daemon was ended before it answered.
    if (this.#last?.invocationId !== request.invocationId) this.#last = this.#begin(request, this.#last);
    return this.#last.prepared;
  }

  async untilBooted(): Promise<void> {
    const { vm, unit } = this.#options;
    if (vm.running !== undefined) return;
    if (!unit.isLaunching)
      throw stateConflict(vm, 'start', vm.problem?.detail ?? 'its unit does not start it');
    await unit.nextOutcome().promise;
  }

  /** @param by what ends the launch in progress, if there is one */
  interrupt(by: string): void {
    this.#early.forget();
    this.#last?.abort.abort(startInterrupted(this.#options.vm, by));
  }

  #begin(request: LaunchRequest, before: Launch | undefined): Launch {
    before?.abort.abort(startInterrupted(this.#options.vm, 'a newer start of its unit'));
    const abort = new AbortController();
    let answer: (text: string) => void = () => {};
    let refuse: (error: unknown) => void = () => {};
    const prepared = new Promise<string>((resolve, reject) => {
      answer = resolve;
      refuse = reject;
    });
    prepared.catch(() => {});
    const launch = async () => {
      await before?.done;
      await this.#options.untilCleared();
      await this.#launch(request, abort.signal, answer);
    };
    return { invocationId: request.invocationId, abort, prepared, done: launch().catch(refuse) };
  }

  async #launch(request: LaunchRequest, signal: AbortSignal, answer: (text: string) => void): Promise<void> {
    const { vm, unit, tools } = this.#options;
    const run = unit.beginRun(request.invocationId);
    if (vm.state !== 'failed' && vm.state !== 'starting') vm.end();
    vm.transition('start');
    let isAnswered = false;
    try {
      const running = await withinStartTimeout(vm.definition, signal, both =>
        startUnit(vm, tools, {
          unit,
          run,
          request,
          takeEarly: () => this.#early.take(vm.definition, both),
          answer: text => {
            isAnswered = true;
            answer(text);
          },
          signal: both,
        }),
      );
      vm.booted(running);
      await tools.records.settled(vm.name);
      unit.runBooted();
    } catch (error) {
      if (signal.aborted) vm.end();
      else vm.fail(error, 'start-failed');
      const { code, detail } = vm.describeProblem(error);
      unit.runFailed(new VmsecretdError(code, detail, { details: { vm: vm.name } }));
      await vm.reports.close();
      await tools.records.abandon(vm.name);
      // Before the answer the launcher prints the error itself.
      if (!isAnswered) throw error;
      await tools.writeJournal(detail);
    }
  }
}
