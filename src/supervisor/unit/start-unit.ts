// Starts a VM whose VMM is the main process of a unit: opens its secrets before the launcher becomes the VMM, then hands them
// over, and boots the guest on the socket that systemd made.
//
// INVARIANT: a secret leaves the deliverer only for that socket, which the unit's processes alone have, or for FIFOs that root made
// for the unit's user.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { digestDefinition } from '../../definition/definition-digest.js';
import type { Delivery } from '../../delivery/deliverers.js';
import type { HostClaim } from '../../hypervisor/host-needs.js';
import type { LaunchPlan, VmmControl, VmPlan } from '../../hypervisor/hypervisor.js';
import type { LaunchRequest } from '../../vm/lifecycle.js';
import type { RecordStore } from '../../vm/record-store.js';
import {
  bootVm,
  type LaunchedVm,
  packagingOf,
  planVm,
  prepareCredentials,
  type RunningVm,
  type StartTimer,
  type StartTools,
  startTimer,
} from '../../vm/start-vm.js';
import type { Vm } from '../../vm/vm.js';
import type { FollowedUnit, UnitRun } from './followed-unit.js';
import { writeLaunchFile } from './launch-file.js';
import { readLauncherCommand } from './launcher-command.js';

export interface StartUnitTools {
  records: Pick<RecordStore, 'begin'>;
  startTools(): StartTools;
  /** Bounds the work of starts at once, of all VMs; not the wait for a launcher. */
  startLimit: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

export interface UnitStart {
  unit: FollowedUnit;
  run: UnitRun;
  request: LaunchRequest;
  /** @returns secrets that were opened ahead, unpacked; undefined where there are none */
  takeEarly(): Promise<Delivery | undefined>;
  /** Takes the text for the launcher, once every secret is open. */
  answer(text: string): void;
  signal: AbortSignal;
}

interface Context extends UnitStart {
  vm: Vm;
  /** That the start was asked for: it may be replaced meanwhile. */
  definition: Definition;
  tools: StartTools;
  records: StartUnitTools['records'];
  timer: StartTimer;
}

/** What is known of a VM before its VMM is there. */
interface Opened {
  delivery: Delivery;
  /** Undefined where the launcher brings the command line. */
  plan: VmPlan | undefined;
  launch: LaunchPlan;
  claims: readonly HostClaim[];
}

export async function startUnit(vm: Vm, tools: StartUnitTools, start: UnitStart): Promise<RunningVm> {
  const startTools = tools.startTools();
  const context = {
    ...start,
    vm,
    definition: vm.definition,
    tools: startTools,
    records: tools.records,
    timer: startTimer(startTools),
  };
  const opened = await tools.startLimit(() => open(context));
  try {
    const answered = await untilLaunched(context);
    return await tools.startLimit(() => boot(context, opened, answered));
  } finally {
    opened.delivery.end();
  }
}

async function open(context: Context): Promise<Opened> {
  const { vm, definition, tools, timer, request, signal } = context;
  const hasCommand = definition.command !== undefined || definition.vmConfig !== undefined;
  const plan = hasCommand ? await planUnit(context, undefined) : undefined;
  const launch = await tools.hypervisor.unit.plan(definition, vm.paths, plan);
  timer.end('plan');
  const claiming = plan === undefined ? Promise.resolve([]) : claim(context, plan);
  claiming.catch(() => {});
  const early = await context.takeEarly();
  const delivery = early ?? (await prepareCredentials(tools, definition, plan, signal));
  try {
    if (early !== undefined && plan !== undefined) await early.pack(packagingOf(plan), signal);
    timer.end('secrets');
    vm.credentialsPrepared(delivery.credentials, delivery.notes);
    const opened = { delivery, plan, launch, claims: await claiming };
    await openReports(context, opened);
    await context.records.begin(vm, launched(context, opened));
    context.answer(writeLaunchFile({ invocationId: request.invocationId, definition, plan, launch }));
    timer.end('spawn');
    return opened;
  } catch (error) {
    delivery.end();
    throw error;
  }
}

async function untilLaunched(context: Context): Promise<VmmControl | undefined> {
  const { vm, unit, run, definition, tools, timer, signal } = context;
  const ended = new AbortController();
  run.vmm.exited
    .then(() => unit.show())
    .then(
      facts => ended.abort(unit.failure(facts)),
      error => ended.abort(error),
    );
  const either = AbortSignal.any([signal, ended.signal]);
  const timeoutMs = definition.startTimeoutSeconds * 1000;
  const answered = await orKill(run, () =>
    tools.hypervisor.unit.untilLaunched(vm.name, vm.paths, { signal: either, timeoutMs }),
  );
  timer.end('listen');
  return answered;
}

async function boot(context: Context, opened: Opened, answered: VmmControl | undefined): Promise<RunningVm> {
  const { vm, definition, tools, timer, run, signal } = context;
  const { paths, console } = vm;
  const completed = await orKill(run, async () => {
    const whole = await completePlan(context, opened);
    const timeoutMs = definition.startTimeoutSeconds * 1000;
    await tools.hypervisor.unit.admit(paths, { signal, timeoutMs });
    return whole;
  });
  const { plan, delivery } = completed;
  const control = await bootVm(tools, {
    definition,
    console,
    plan,
    delivery,
    vmm: run.vmm,
    answered,
    timer,
    signal,
  });
  return { ...launched(context, completed), plan, control };
}

/** Where the launcher was given a command line, that counts, as it does in a unit without vmsecretd. */
async function completePlan(context: Context, opened: Opened): Promise<Opened & { plan: VmPlan }> {
  const { vm, signal } = context;
  const command = await readLauncherCommand(vm.name, vm.paths.launcherCommand);
  if (command === undefined && opened.plan !== undefined) return { ...opened, plan: opened.plan };
  const plan = await planUnit(context, command);
  const claims = await claim(context, plan);
  await opened.delivery.pack(packagingOf(plan), signal);
  const completed = { ...opened, plan, claims };
  await context.records.begin(vm, launched(context, completed));
  return completed;
}

function planUnit(
  { vm, definition, tools, request }: Context,
  command: readonly string[] | undefined,
): Promise<VmPlan> {
  return planVm(tools, {
    definition,
    paths: vm.paths,
    workingDirectory: request.workingDirectory,
    ownsConsole: false,
    ...(command === undefined ? {} : { command }),
  });
}

async function claim(
  { unit, tools, request: { workingDirectory } }: Context,
  plan: VmPlan,
): Promise<readonly HostClaim[]> {
  // systemd is asked, by a process, only where its answer counts.
  const hasNetwork = plan.needs.claims.some(({ kind }) => kind === 'tap' || kind === 'MAC address');
  const { uid, networkNamespace } = hasNetwork ? await unit.show() : { uid: null, networkNamespace: null };
  return tools.claimHost(plan, { uid, networkNamespace, workingDirectory });
}

/** The launcher's step of root's gives the folder to the unit's user, whose VMM alone passes through it. */
async function openReports({ vm }: Context, { launch: { channels }, delivery }: Opened): Promise<void> {
  if (Object.values(channels).some(({ kind }) => kind === 'vsock'))
    await mkdir(dirname(vm.paths.reportPort), { recursive: true, mode: 0o700 });
  await vm.reports.open(channels, delivery.credentials);
}

function launched(context: Context, opened: Opened): LaunchedVm {
  const { vm, definition, run, request } = context;
  return {
    apiSocket: vm.paths.apiSocket,
    console: undefined,
    channels: opened.launch.channels,
    credentials: opened.delivery.credentials,
    claims: opened.claims,
    definitionDigest: digestDefinition(definition),
    workingDirectory: request.workingDirectory,
    vmm: run.vmm,
  };
}

/** By SIGKILL: SIGTERM would look like success to systemd. */
async function orKill<Result>({ vmm }: UnitRun, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    vmm.kill('SIGKILL');
    throw error;
  }
}
