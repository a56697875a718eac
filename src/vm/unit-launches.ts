// The launches of a VM's unit: its ExecStartPre= has every secret opened, its main process becomes the VMM on the socket that
// systemd made, and there the VM is created and booted.
//
// INVARIANTS
// - One launch for one run of the unit, and one at a time: a request for the same run shares it.
// - No secret leaves the deliverer before the VMM answers on a socket that only the unit's processes have.

import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { digestDefinition } from '../definition/definition-digest.js';
import type { Delivery } from '../delivery/deliverers.js';
import { VmsecretdError } from '../errors.js';
import type { HostClaim } from '../hypervisor/host-needs.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { writeLaunchFile } from '../supervisor/launch-file.js';
import { readLauncherCommand } from '../supervisor/launcher-command.js';
import type { FollowedUnit, UnitRun } from './followed-unit.js';
import { startInterrupted, stateConflict } from './guest-controls.js';
import type { Launches, LaunchRequest } from './lifecycle.js';
import { keepRecord, removeRecord } from './record.js';
import {
  bootVm,
  packagingOf,
  planVm,
  prepareCredentials,
  type RunningVm,
  type StartTimer,
  type StartTools,
  startTimer,
  withinStartTimeout,
} from './start-vm.js';
import type { Vm } from './vm.js';

export interface UnitLaunchTools {
  startTools(): StartTools;
  /** Bounds the work of starts at once, of all VMs. */
  startLimit: <Result>(work: () => Promise<Result>) => Promise<Result>;
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

/** A launch whose secrets are open and whose VMM is not there yet. */
interface OpenedLaunch {
  delivery: Delivery;
  /** Undefined where the launcher brings the command line. */
  plan: VmPlan | undefined;
  claims: readonly HostClaim[];
}

export class UnitLaunches implements Launches {
  readonly #options: UnitLaunchOptions;
  #last: Launch | undefined;

  constructor(options: UnitLaunchOptions) {
    this.#options = options;
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
    this.#last?.abort.abort(startInterrupted(this.#options.vm, by));
  }

  #begin(request: LaunchRequest, before: Launch | undefined): Launch {
    this.interrupt('a newer start of its unit');
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
    if (vm.state !== 'failed' && vm.state !== 'starting') vm.transition('ended');
    vm.transition('start');
    let isAnswered = false;
    try {
      const running = await withinStartTimeout(vm.definition, signal, both =>
        this.#bringUp(request, run, both, text => {
          isAnswered = true;
          answer(text);
        }),
      );
      vm.booted(running);
      // Without it the record of the launch still stands, from where the VM can be adopted.
      await keepRecord(vm, running, 'running').catch(error => void vm.describeProblem(error));
      unit.runBooted();
    } catch (error) {
      if (signal.aborted) vm.transition('ended');
      else vm.fail(error, 'start-failed');
      const { code, detail } = vm.describeProblem(error);
      unit.runFailed(new VmsecretdError(code, detail, { details: { vm: vm.name } }));
      await vm.reports.close();
      await removeRecord(vm.paths.record);
      // Before the answer the launcher prints the error itself.
      if (!isAnswered) throw error;
      await tools.writeJournal(detail);
    }
  }

  async #bringUp(
    request: LaunchRequest,
    run: UnitRun,
    signal: AbortSignal,
    answer: (text: string) => void,
  ): Promise<RunningVm> {
    const { vm, tools } = this.#options;
    const startTools = tools.startTools();
    const timer = startTimer(startTools);
    const { definition } = vm;
    const opened = await tools.startLimit(() => this.#open(startTools, request, signal, timer));
    const { delivery } = opened;
    try {
      await this.#keepStarting(opened, request, run, opened.plan);
      answer(
        writeLaunchFile({
          invocationId: run.invocationId,
          definition,
          program: opened.plan?.program ?? (await startTools.hypervisor.locate()),
          plan: opened.plan,
          receiptSocket: definition.ready === 'receipt' ? vm.paths.reportPort : undefined,
        }),
      );
      timer.end('spawn');
      await this.#untilVmmAnswers(startTools, run, signal);
      timer.end('listen');
      return await tools.startLimit(() => this.#boot(startTools, opened, { request, run, signal, timer }));
    } catch (error) {
      // Where bootVm did not: SIGKILL, since SIGTERM would look like success to systemd.
      run.vmm.kill('SIGKILL');
      throw error;
    } finally {
      delivery.end();
    }
  }

  async #open(
    tools: StartTools,
    { workingDirectory }: LaunchRequest,
    signal: AbortSignal,
    timer: StartTimer,
  ): Promise<OpenedLaunch> {
    const { vm } = this.#options;
    const { definition, paths } = vm;
    const hasCommand = definition.command !== undefined || definition.vmConfig !== undefined;
    const plan = hasCommand
      ? await planVm(tools, { definition, paths, workingDirectory, ownsConsole: false })
      : undefined;
    timer.end('plan');
    const claiming = this.#claim(tools, plan, workingDirectory);
    claiming.catch(() => {});
    const delivery = await prepareCredentials(tools, definition, plan, signal);
    try {
      timer.end('secrets');
      vm.credentialsPrepared(delivery.credentials, delivery.notes);
      const channels = plan?.channels ?? unplannedChannels(vm);
      if (channels.receipt !== undefined) await makeReportsFolder(dirname(channels.receipt.path));
      await vm.reports.open(channels, delivery.credentials);
      return { delivery, plan, claims: await claiming };
    } catch (error) {
      delivery.end();
      throw error;
    }
  }

  async #claim(
    tools: StartTools,
    plan: VmPlan | undefined,
    workingDirectory: string,
  ): Promise<readonly HostClaim[]> {
    if (plan === undefined) return [];
    // systemd is asked, by a process, only where its answer counts.
    const hasNetwork = plan.needs.claims.some(({ kind }) => kind === 'tap' || kind === 'MAC address');
    const { uid, networkNamespace } = hasNetwork
      ? await this.#options.unit.show()
      : { uid: null, networkNamespace: null };
    return tools.claimHost(plan, { uid, networkNamespace, workingDirectory });
  }

  /** The launcher has become the VMM: systemd gave the socket to it alone, and the connection waits until it accepts. */
  async #untilVmmAnswers({ hypervisor }: StartTools, run: UnitRun, signal: AbortSignal): Promise<void> {
    const { vm, unit } = this.#options;
    const ended = new AbortController();
    void run.vmm.exited.then(async () => ended.abort(unit.failure(await unit.show())));
    const timeoutMs = vm.definition.startTimeoutSeconds * 1000;
    await hypervisor.connect(vm.name, vm.paths.apiSocket, AbortSignal.any([signal, ended.signal]), timeoutMs);
  }

  async #boot(
    tools: StartTools,
    opened: OpenedLaunch,
    {
      request,
      run,
      signal,
      timer,
    }: { request: LaunchRequest; run: UnitRun; signal: AbortSignal; timer: StartTimer },
  ): Promise<RunningVm> {
    const { vm } = this.#options;
    const { definition, paths, console } = vm;
    const { workingDirectory } = request;
    const { delivery } = opened;
    const command = await readLauncherCommand(vm.name, paths.launcherCommand);
    let { plan, claims } = opened;
    if (command !== undefined || plan === undefined) {
      plan = await planVm(tools, {
        definition,
        paths,
        workingDirectory,
        ownsConsole: false,
        ...(command === undefined ? {} : { command }),
      });
      claims = await this.#claim(tools, plan, workingDirectory);
      await delivery.pack(packagingOf(plan), signal);
      await this.#keepStarting({ ...opened, claims }, request, run, plan);
    }
    const control = await bootVm(tools, {
      definition,
      paths,
      console,
      plan,
      delivery,
      vmm: run.vmm,
      timer,
      signal,
    });
    return { ...this.#prepared({ delivery, claims }, request, run, plan), plan, control };
  }

  async #keepStarting(
    opened: Pick<OpenedLaunch, 'delivery' | 'claims'>,
    request: LaunchRequest,
    run: UnitRun,
    plan: VmPlan | undefined,
  ): Promise<void> {
    await keepRecord(this.#options.vm, this.#prepared(opened, request, run, plan), 'starting');
  }

  #prepared(
    { delivery, claims }: Pick<OpenedLaunch, 'delivery' | 'claims'>,
    { workingDirectory }: LaunchRequest,
    { vmm }: UnitRun,
    plan: VmPlan | undefined,
  ): Omit<RunningVm, 'plan' | 'control'> {
    const { vm } = this.#options;
    return {
      apiSocket: vm.paths.apiSocket,
      console: undefined,
      channels: plan?.channels ?? unplannedChannels(vm),
      credentials: delivery.credentials,
      claims,
      definitionDigest: digestDefinition(vm.definition),
      workingDirectory,
      vmm,
    };
  }
}

/** In a folder that only VMMs' group may enter; the VMM is to enter this one. */
async function makeReportsFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o755);
}

/** The receipt comes by a socket that does not depend on the command line. */
function unplannedChannels({ definition, paths }: Vm): VmPlan['channels'] {
  return definition.ready === 'receipt' ? { receipt: { kind: 'vsock', path: paths.reportPort } } : {};
}
