// The launches of a VM's unit: each launcher is answered, and the VM is created in the VMM that it becomes.
//
// INVARIANTS
// - A launch takes no lock: it is a step of the start that systemd has in progress.
// - One launch for one process, and one at a time: whoever asks again for the same process hears the same.
import { setTimeout as delay } from 'node:timers/promises';
import { VmsecretdError } from '../errors.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { type LaunchRequest, refuseLaunch } from '../supervisor/launch-request.js';
import type { VmmProcess } from '../supervisor/vmm-process.js';
import { isSameProcess, processKey, sameProcessListensOn } from '../system/procfs.js';
import { attachToVmm } from './adoption.js';
import type { FollowedUnit } from './followed-unit.js';
import { startInterrupted } from './guest-controls.js';
import { keepRecord, removeRecord } from './record.js';
import { type PreparedVm, type RunningVm, type StartTools, startVm } from './start-vm.js';
import type { Vm } from './vm.js';

export interface UnitLaunchTools {
  startTools(): StartTools;
  /** Bounds the starts that run at once, of all VMs. */
  startLimit: <Result>(work: () => Promise<Result>) => Promise<Result>;
  checkLaunch(pid: number): Promise<LaunchRequest>;
  /** The answer to a launcher, from the plan and its working directory. */
  writeAnswer(plan: VmPlan, workingDirectory: string): string;
  /** Tells the unit's own journal. */
  writeJournal(message: string): Promise<void>;
}

export interface UnitLaunchOptions {
  vm: Vm;
  unit: FollowedUnit;
  tools: UnitLaunchTools;
  /** Told of each VM that was booted. */
  onBooted(running: RunningVm): void;
  /** Settles once what is left of the run before is cleared away. */
  untilCleared(): Promise<void>;
}

interface Launch {
  /** Pid and start time. */
  process: string;
  abort: AbortController;
  answer: Promise<string>;
  /** Booted, or failed. */
  done: Promise<void>;
}

/** How often a launched VMM is looked at until it listens; it takes some 4 ms. */
const LISTEN_POLL_MS = 2;

export class UnitLaunches {
  readonly #options: UnitLaunchOptions;
  #last: Launch | undefined;

  constructor(options: UnitLaunchOptions) {
    this.#options = options;
  }

  /** @returns what the launcher is to execute @throws VmsecretdError forbidden, or why the VM cannot start */
  async launch(pid: number): Promise<string> {
    const { vm, tools } = this.#options;
    // It is the unit's main process still, and may show any command line, or execute the launcher anew. Anybody may name it
    // again and again, so nothing is run to look at it.
    if (vm.running?.vmm.pid === pid && (await isSameProcess(pid, vm.running.vmm.startTimeTicks))) {
      throw refuseLaunch(vm.name, `process ${pid} is its VMM already`);
    }
    const request = await tools.checkLaunch(pid);
    const process = processKey(request.process);
    // Anybody may have named this launcher before it asked by itself.
    if (this.#last?.process !== process) this.#last = this.#begin(process, request, this.#last);
    return this.#last.answer;
  }

  /** @param by what ends the start in progress, if there is one */
  interrupt(by: string): void {
    this.#last?.abort.abort(startInterrupted(this.#options.vm, by));
  }

  #begin(process: string, request: LaunchRequest, before: Launch | undefined): Launch {
    const abort = new AbortController();
    this.interrupt('a newer launch');
    let done: Promise<void> = Promise.resolve();
    const answer = new Promise<string>((resolve, reject) => {
      const clear = async () => {
        await before?.done;
        await this.#options.untilCleared();
      };
      done = clear()
        .then(() => this.#bringUp(request, abort.signal, resolve))
        .catch(reject);
    });
    answer.catch(() => {});
    return { process, abort, answer, done };
  }

  async #bringUp(request: LaunchRequest, signal: AbortSignal, answer: (text: string) => void): Promise<void> {
    const { vm, unit, tools, onBooted } = this.#options;
    let answered = false;
    unit.launchBegan(request.invocationId);
    // A new run proves that the last one is over, whether or not systemd's word of it came through.
    if (vm.state !== 'failed' && vm.state !== 'starting') vm.transition('ended');
    vm.transition('start');
    try {
      const running = await tools.startLimit(() =>
        startVm(tools.startTools(), {
          definition: vm.definition,
          paths: vm.paths,
          console: vm.console,
          ...(request.command === undefined ? {} : { command: request.command }),
          launcher: request.process,
          workingDirectory: request.workingDirectory,
          ownsConsole: false,
          obtainVmm: async (prepared, both) => {
            const { plan } = prepared;
            const text = tools.writeAnswer(plan, request.workingDirectory);
            await vm.reports.open(plan.channels, prepared.credentials);
            await this.#keepStarting(prepared, request);
            answered = true;
            answer(text);
            return this.#untilListening(plan, request, both);
          },
          onPrepared: ({ credentials }, notes) => vm.credentialsPrepared(credentials, notes),
          signal,
        }),
      );
      vm.booted(running);
      onBooted(running);
      // Without it the record of the launch still stands, from where the VM can be adopted.
      await keepRecord(vm, running, 'running').catch(error => void vm.describeProblem(error));
      unit.launchBooted();
    } catch (error) {
      await this.#failed(request, error, answered);
    }
  }

  async #failed({ invocationId }: LaunchRequest, error: unknown, answered: boolean): Promise<void> {
    const { vm, unit, tools } = this.#options;
    vm.fail(error, 'start-failed');
    await vm.reports.close();
    await removeRecord(vm.paths.record);
    const { code, detail } = vm.describeProblem(error);
    unit.launchFailed(invocationId, new VmsecretdError(code, detail, { details: { vm: vm.name } }));
    // Before the answer the launcher itself prints the error; after it, it has become the VMM.
    if (!answered) throw error;
    await tools.writeJournal(detail);
  }

  #keepStarting({ plan, ...prepared }: PreparedVm, { process }: LaunchRequest): Promise<void> {
    const vmm = {
      pid: process.pid,
      startTimeTicks: process.startTimeTicks,
      exited: new Promise<never>(() => {}),
      kill: () => {},
    };
    return keepRecord(this.#options.vm, { ...plan, ...prepared, vmm }, 'starting');
  }

  /** A file at the path says nothing about who made it: this very process must listen there. */
  async #untilListening(plan: VmPlan, { process }: LaunchRequest, signal: AbortSignal): Promise<VmmProcess> {
    const { unit } = this.#options;
    const { pid, startTimeTicks } = process;
    while (!(await sameProcessListensOn(process, plan.apiSocket))) {
      if (!(await isSameProcess(pid, startTimeTicks))) {
        throw new VmsecretdError(
          'vmm_refused',
          `VM ${plan.vm}: ${plan.program} ended at once; see journalctl -u ${unit.name}`,
          { details: { vm: plan.vm } },
        );
      }
      await delay(LISTEN_POLL_MS, undefined, { signal }).catch(async () => {
        await unit.kill();
        throw signal.reason;
      });
    }
    return attachToVmm({
      pid,
      startTimeTicks,
      apiSocket: plan.apiSocket,
      kill: name => void unit.kill(name),
    });
  }
}
