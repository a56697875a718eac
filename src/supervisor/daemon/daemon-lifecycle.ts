// The lifecycle of a VM whose VMM is a child of the daemon.
//
// INVARIANTS
// - One lock a VM: requests are carried out one after the other, in the order in which they came.
// - A start or stop that is asked for while the same is the last in line joins it.
// - kill, and stop during a start, do not wait for the lock to act: they end what holds it.
import pLimit from 'p-limit';
import { VmsecretdError } from '../../errors.js';
import { requireStartable } from '../../preflight/check-vm.js';
import {
  adoptVmm,
  attachToVmm,
  canAdoptChild,
  endRecordedVmm,
  findIsPaused,
  killSame,
} from '../../recovery/adoption.js';
import {
  pauseGuest,
  rebootGuest,
  resumeGuest,
  startInterrupted,
  stateConflict,
} from '../../vm/guest-controls.js';
import type { Lifecycle, LifecycleVerb } from '../../vm/lifecycle.js';
import { isChildRecord } from '../../vm/record.js';
import type { RecordStore } from '../../vm/record-store.js';
import type { RunningVm } from '../../vm/start-vm.js';
import { stopVm } from '../../vm/stop-vm.js';
import type { Vm } from '../../vm/vm.js';
import { describeExit, type VmmExit } from '../../vm/vmm-process.js';
import { Restarts } from './restarts.js';
import { type StartChildTools, startChild } from './start-child.js';

export interface DaemonLifecycleTools extends StartChildTools {
  records: RecordStore;
  /** Bounds the starts that run at once, of all VMs. */
  startLimit: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

interface StopRequest {
  atOnce?: boolean;
  graceSeconds?: number | undefined;
}

export class DaemonLifecycle implements Lifecycle {
  readonly launches = undefined;
  readonly #vm: Vm;
  readonly #tools: DaemonLifecycleTools;
  readonly #lock = pLimit(1);
  readonly #restarts: Restarts;
  #lastInLine: { verb: LifecycleVerb; done: Promise<void> } | undefined;
  #startAbort: AbortController | undefined;
  #stopAbort: AbortController | undefined;
  /** Of the stop underway, or the next one. */
  #hurry = new AbortController();
  #ending: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(vm: Vm, tools: DaemonLifecycleTools) {
    this.#vm = vm;
    this.#tools = tools;
    this.#restarts = new Restarts(vm, () => this.#enqueue('start', () => this.#start()));
  }

  async start(): Promise<void> {
    // Asked for while it is to be tried again anyway: that goes on where it fails.
    if (this.#restarts.isWaiting) return this.startUnasked();
    this.#restarts.forgetFailures();
    return this.#enqueue('start', () => this.#start());
  }

  async startUnasked(): Promise<void> {
    this.#restarts.forgetFailures();
    try {
      await this.#enqueue('start', () => this.#start());
    } catch (error) {
      this.#restarts.startFailed();
      throw error;
    }
  }

  async stop(graceSeconds?: number): Promise<void> {
    this.#startAbort?.abort(startInterrupted(this.#vm, 'stop'));
    const stopped = this.#enqueue('stop', () => this.#stop({ graceSeconds }));
    if (graceSeconds === undefined) return stopped;
    // For a stop that is underway already.
    const timer = setTimeout(() => this.#hurry.abort(), graceSeconds * 1000);
    return stopped.finally(() => clearTimeout(timer));
  }

  restart(): Promise<void> {
    this.#restarts.forgetFailures();
    return this.#enqueue('restart', async () => {
      await this.#requireStartable();
      await this.#stop();
      await this.#start();
    });
  }

  kill(): Promise<void> {
    this.#startAbort?.abort(startInterrupted(this.#vm, 'kill'));
    this.#stopAbort?.abort();
    const { running } = this.#vm;
    if (running !== undefined) {
      // Asked for, whatever else holds the lock: the end of the VMM is no failure.
      this.#vm.transition('stop');
      running.vmm.kill('SIGKILL');
    }
    return this.#enqueue('kill', () => this.#stop({ atOnce: true }));
  }

  reboot(): Promise<void> {
    return this.#enqueue('reboot', () => rebootGuest(this.#vm));
  }

  pause(): Promise<void> {
    return this.#enqueue('pause', () => pauseGuest(this.#vm));
  }

  resume(): Promise<void> {
    return this.#enqueue('resume', () => resumeGuest(this.#vm));
  }

  /** Takes over the VMM of an earlier daemon; one that was being started is ended, and started with fresh secrets. */
  adopt(): Promise<void> {
    return this.#lock(async () => {
      const vm = this.#vm;
      const { records } = this.#tools;
      const record = await records.read(vm.name);
      if (record === undefined || !isChildRecord(record)) return;
      const { vmm: id, apiSocket, phase } = record;
      const kill = (signal: 'SIGTERM' | 'SIGKILL') =>
        void killSame(id.pid, id.startTimeTicks, signal).catch(error => void vm.describeProblem(error));
      const { hypervisor } = this.#tools.startTools();
      if (!(await canAdoptChild(vm.name, record, hypervisor))) {
        await endRecordedVmm(vm.name, records);
        if (phase === 'starting') this.startUnasked().catch(() => {});
        return;
      }
      const { servesOneClient } = hypervisor;
      const vmm = attachToVmm({ ...id, apiSocket, kill, servesOneClient });
      const running = await adoptVmm(vm.name, record, hypervisor, vmm);
      const isPaused = await findIsPaused(vm.name, record, hypervisor);
      await vm.console.connect(running.console, { isRunning: true });
      // A user that is gone meanwhile has sockets that nobody reaches, and its VM runs on.
      const owner = await this.#tools.resolveOwner().catch(() => undefined);
      await vm.reports.reopen(running, owner);
      vm.adopted(running, { ...record, isPaused });
      this.#watch(running);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#restarts.cancel();
    this.#startAbort?.abort(startInterrupted(this.#vm, 'the end of the daemon'));
  }

  #enqueue(verb: LifecycleVerb, work: () => Promise<void>): Promise<void> {
    // Whoever asks a VM that broke to pause is refused, and does not keep it from being started again.
    if (verb !== 'pause' && verb !== 'resume' && verb !== 'reboot') this.#restarts.cancel();
    const last = this.#lastInLine;
    if (last?.verb === verb && (verb === 'start' || verb === 'stop' || verb === 'kill')) return last.done;
    const done = this.#lock(work);
    const entry = { verb, done };
    this.#lastInLine = entry;
    const settled = () => {
      if (this.#lastInLine === entry) this.#lastInLine = undefined;
    };
    done.then(settled, settled);
    return done;
  }

  /** Before a VM that runs is stopped; whoever stops it meanwhile does not wait for the answer. */
  async #requireStartable(): Promise<void> {
    const vm = this.#vm;
    if (vm.running === undefined) return;
    const abort = new AbortController();
    this.#startAbort = abort;
    try {
      await this.#whenAllowed(abort.signal, () =>
        requireStartable(vm, this.#tools.startTools(), abort.signal),
      );
      abort.signal.throwIfAborted();
    } finally {
      this.#startAbort = undefined;
    }
  }

  async #start(): Promise<void> {
    const vm = this.#vm;
    // A kill that came meanwhile has its place in the line behind us; its VMM ends first all the same.
    if (vm.state === 'stopping') await vm.running?.vmm.exited;
    await this.#ending;
    if (vm.state === 'running') return;
    if (vm.state === 'paused') throw stateConflict(vm, 'start', 'resume it instead');
    // Nobody would find its VMM again: the VM is forgotten, or another lifecycle's.
    if (this.#isClosed) throw startInterrupted(vm, 'the end of its definition, or of the daemon');
    const abort = new AbortController();
    this.#startAbort = abort;
    vm.transition('start');
    try {
      await endRecordedVmm(vm.name, this.#tools.records);
      const running = await this.#whenAllowed(abort.signal, () => startChild(vm, this.#tools, abort.signal));
      vm.booted(running);
      this.#watch(running);
      await this.#tools.records.settled(vm.name);
    } catch (error) {
      if (abort.signal.aborted) vm.end();
      else vm.fail(error, 'start-failed');
      await vm.reports.close();
      await this.#tools.records.abandon(vm.name);
      throw error;
    } finally {
      this.#startAbort = undefined;
    }
  }

  /** A start that still waits for its turn ends as soon as it is told to. */
  #whenAllowed<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const refuse = () => reject(signal.reason);
      signal.addEventListener('abort', refuse);
      const begin = async () => {
        signal.removeEventListener('abort', refuse);
        signal.throwIfAborted();
        return work();
      };
      this.#tools.startLimit(begin).then(resolve, reject);
    });
  }

  async #stop({ atOnce = false, graceSeconds }: StopRequest = {}): Promise<void> {
    const vm = this.#vm;
    await this.#ending;
    const { running } = vm;
    if (running === undefined) {
      await endRecordedVmm(vm.name, this.#tools.records);
      vm.end();
      return;
    }
    const isPaused = vm.state === 'paused';
    vm.transition('stop');
    const abort = new AbortController();
    this.#stopAbort = abort;
    if (atOnce) abort.abort();
    try {
      await stopVm(running, {
        isPaused,
        timeoutMs: (graceSeconds ?? vm.definition.stopTimeoutSeconds) * 1000,
        onStep: (step, timeoutMs) => vm.stopReached(step, timeoutMs),
        hurry: this.#hurry.signal,
        signal: abort.signal,
      });
    } finally {
      this.#stopAbort = undefined;
      this.#hurry = new AbortController();
    }
    await this.#ending;
  }

  /** Notices the end of a VMM, whenever it comes. */
  #watch(running: RunningVm): void {
    void running.vmm.exited.then(exit => {
      this.#ending = this.#handleVmmExit(exit);
    });
  }

  async #handleVmmExit(exit: VmmExit): Promise<void> {
    const vm = this.#vm;
    await vm.console.disconnect();
    await vm.reports.close();
    const asked = vm.state === 'stopping';
    const clean = asked || exit.status === 0;
    vm.handleVmmExit(exit);
    if (clean) vm.end();
    else vm.fail(this.#explainExit(exit), 'broke');
    if (!asked) this.#restarts.schedule(clean);
    await this.#tools.records.settled(vm.name);
  }

  #explainExit(exit: VmmExit): VmsecretdError {
    const { name, definition } = this.#vm;
    return new VmsecretdError('vmm_refused', `VM ${name}: ${definition.hypervisor} ${describeExit(exit)}`, {
      details: { vm: name },
      words: exit.lastWords,
    });
  }
}
