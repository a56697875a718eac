// The steps of a start, as each supervisor calls them: planVm, prepareCredentials, obtain a VMM, bootVm. Either all of it
// happens, or no VMM is left and the error says why.
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Console } from '../console/console.js';
import type { Definition } from '../definition/definition.js';
import type { Deliverers, Delivery } from '../delivery/deliverers.js';
import type { Packaging, Preparation, PreparedCredential } from '../delivery/protocol.js';
import { nameVm, VmsecretdError } from '../errors.js';
import type { HostClaim, HostReport } from '../hypervisor/host-needs.js';
import type {
  ConsolePlan,
  GuestChannelPlans,
  Hypervisor,
  VmmControl,
  VmPaths,
  VmPlan,
} from '../hypervisor/hypervisor.js';
import type { UnitFacts } from '../system/systemctl.js';
import { describeExit, type VmmProcess } from './vmm-process.js';

/** What a start is made of, as its duration is told. */
export type StartPhase = 'plan' | 'secrets' | 'spawn' | 'listen' | 'create' | 'boot';

/** What of a unit decides where and as whom its VMM runs. */
export type UnitSite = Pick<UnitFacts, 'uid' | 'networkNamespace' | 'workingDirectory'> &
  Partial<Pick<UnitFacts, 'user'>>;

export interface StartTools {
  hypervisor: Hypervisor;
  deliverers: Pick<Deliverers, 'prepare' | 'check'>;
  /** Where the definition has none. */
  identities: readonly string[];
  passphraseFiles: readonly string[];
  /** Refuses what another VM has or the host lacks; see HostClaims. @param unit the one that runs the VMM */
  claimHost(plan: VmPlan, unit: UnitSite | undefined): Promise<readonly HostClaim[]>;
  /** As claimHost, without taking anything, and as the user of the VMM. */
  checkHost(plan: VmPlan): Promise<HostReport>;
  onPhase(phase: StartPhase, durationMs: number): void;
}

/** What a VM was started with. */
export interface PreparedVm {
  credentials: readonly PreparedCredential[];
  claims: readonly HostClaim[];
  /** Of the definition that it was started from. */
  definitionDigest: string;
  /** Of the VMM. */
  workingDirectory: string;
  apiSocket: string;
  console: ConsolePlan | undefined;
  channels: GuestChannelPlans;
}

/** A VM whose VMM is there, or about to be, and whose guest is not. */
export interface LaunchedVm extends PreparedVm {
  vmm: VmmProcess;
}

/** A VM whose guest runs. */
export interface RunningVm extends LaunchedVm {
  /** Undefined where the guest has what it was given at boot: else that, and the run of its kernel that got the new ones. */
  refreshed?: { atBoot: readonly PreparedCredential[]; guestBoot: string | null } | undefined;
  /** Undefined where an earlier daemon started it. */
  plan: VmPlan | undefined;
  control: VmmControl;
}

/**
 * @param work is given what ends it: `signal`, or the deadline
 * @param readLastWords what a VMM, or what ran before it, printed last
 * @throws VmsecretdError vmm_timeout
 */
export async function withinStartTimeout<Result>(
  { name: vm, startTimeoutSeconds }: Definition,
  signal: AbortSignal,
  work: (both: AbortSignal) => Promise<Result>,
  readLastWords: () => Promise<string> = async () => '',
): Promise<Result> {
  const deadline = AbortSignal.timeout(startTimeoutSeconds * 1000);
  try {
    return await work(AbortSignal.any([signal, deadline]));
  } catch (error) {
    if (!deadline.aborted || signal.aborted) throw error;
    const words = await readLastWords().catch(() => '');
    const said = words === '' ? '' : `; last in its log: ${words}`;
    const message = `VM ${vm} was not started within startTimeoutSeconds (${startTimeoutSeconds} s)${said}`;
    throw new VmsecretdError('vmm_timeout', message, { details: { vm, startTimeoutSeconds } });
  }
}

export interface PlanOptions {
  definition: Definition;
  paths: VmPaths;
  ownsConsole: boolean;
  /** A launcher's command, in place of the definition's. */
  command?: readonly string[];
  /** Where a unit runs, in place of the definition's. */
  workingDirectory?: string;
}

/** Plans a start; touches nothing. @throws VmsecretdError command_invalid, definition_invalid and others of the definition */
export async function planVm(
  tools: Pick<StartTools, 'hypervisor'>,
  { definition, paths, command, ownsConsole, workingDirectory }: PlanOptions,
): Promise<VmPlan> {
  const context = {
    paths,
    ownsConsole,
    workingDirectory: workingDirectory ?? workingDirectoryOf(definition, paths),
    ...(command === undefined ? {} : { command }),
  };
  return tools.hypervisor.plan(definition, context).catch(error => {
    throw nameVm(error, definition.name);
  });
}

export function workingDirectoryOf(definition: Definition, paths: VmPaths): string {
  return definition.workingDirectory ?? paths.directory;
}

/**
 * Opens every secret of a VM in a deliverer and checks that they fit.
 * @param plan undefined where the command line comes later: then the delivery has to be packed
 * @throws VmsecretdError with the code of the first secret that is wrong
 */
export function prepareCredentials(
  tools: StartTools,
  definition: Definition,
  plan: VmPlan | undefined,
  signal: AbortSignal,
): Promise<Delivery> {
  return tools.deliverers.prepare(preparationOf(tools, definition, plan), signal);
}

/** @param plan undefined where the command line comes later, or is wrong */
export function preparationOf(
  tools: Pick<StartTools, 'identities' | 'passphraseFiles'>,
  definition: Definition,
  plan: VmPlan | undefined,
): Preparation {
  return {
    vm: definition.name,
    unit: definition.unit,
    credentials: definition.credentials,
    identities: [...(definition.identities ?? tools.identities)],
    passphraseFiles: [...tools.passphraseFiles],
    ...(plan === undefined ? {} : { packaging: packagingOf(plan) }),
    wantsReceipt: definition.ready === 'receipt',
  };
}

export function packagingOf({ staticOemStrings, packing }: VmPlan): Packaging {
  return { staticOemStrings: [...staticOemStrings], packing };
}

export interface BootOptions {
  definition: Definition;
  console: Console;
  plan: VmPlan;
  delivery: Delivery;
  vmm: VmmProcess;
  /** Undefined where the VMM has not answered yet. */
  answered?: VmmControl | undefined;
  timer: StartTimer;
  signal: AbortSignal;
}

/**
 * Delivers the credentials and boots the guest. A VMM that cannot be brought up is killed: SIGTERM would look like success
 * to systemd.
 */
export async function bootVm(tools: StartTools, options: BootOptions): Promise<VmmControl> {
  const { definition, console, plan, delivery, vmm, timer } = options;
  const gone = new AbortController();
  void vmm.exited.then(exit => {
    const code = exit.status === 126 || exit.status === 127 ? 'vmm_missing' : 'vmm_refused';
    const message = `VM ${definition.name}: ${plan.program} ${describeExit(exit)}`;
    const details = { vm: definition.name, path: plan.program };
    gone.abort(new VmsecretdError(code, message, { details, words: exit.lastWords }));
  });
  const signal = AbortSignal.any([options.signal, gone.signal]);
  try {
    const control = await tools.hypervisor.bringUp({
      plan,
      delivery,
      timeoutMs: definition.startTimeoutSeconds * 1000,
      answered: options.answered,
      onListening: () => timer.end('listen'),
      connectConsole: () => {
        timer.end('create');
        return console.connect(plan.console);
      },
      signal,
    });
    timer.end('boot');
    return control;
  } catch (error) {
    // A connection breaks a little before the end of its process is known, and why that ended says more.
    if (isUnanswered(error)) await goneWithin(vmm, OWN_END_MS);
    const wasEnded = signal.aborted;
    vmm.kill('SIGKILL');
    const { status, signal: endedBy } = await vmm.exited;
    await console.disconnect();
    // The deliverer, which removes each once it is read, may have been ended before.
    await Promise.all(plan.fifos.map(path => rm(path, { force: true })));
    // Why it ended says more than the request that broke off, unless the SIGKILL above ended it.
    const endedByItself = status !== null || (endedBy !== null && endedBy !== 'SIGKILL');
    throw wasEnded || endedByItself ? signal.reason : error;
  }
}

/** How long the end of a VMM that broke its connection off is waited for. */
const OWN_END_MS = 500;

async function goneWithin({ exited }: VmmProcess, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  await Promise.race([exited, delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
}

function isUnanswered(error: unknown): boolean {
  return error instanceof VmsecretdError && error.details.answered !== true;
}

export interface StartTimer {
  end(phase: StartPhase): void;
}

/** Each phase begins where the last one ended. */
export function startTimer({ onPhase }: Pick<StartTools, 'onPhase'>): StartTimer {
  let beganAt = performance.now();
  return {
    end: phase => {
      const endedAt = performance.now();
      onPhase(phase, endedAt - beganAt);
      beganAt = endedAt;
    },
  };
}
