// Starting a VM, step by step. Either all of it happens, or no VMM is left and the error says why.
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Console } from '../console/console.js';
import type { Definition } from '../definition/definition.js';
import { digestDefinition } from '../definition/definition-digest.js';
import type { Deliverers, Delivery } from '../delivery/deliverers.js';
import type { Preparation, PreparedCredential } from '../delivery/protocol.js';
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
import { describeExit, type VmmProcess } from '../supervisor/vmm-process.js';
import type { ProcessFacts } from '../system/procfs.js';

/** What a start is made of, as its duration is told. */
export type StartPhase = 'plan' | 'secrets' | 'spawn' | 'listen' | 'create' | 'boot';

export interface StartTools {
  hypervisor: Hypervisor;
  deliverers: Pick<Deliverers, 'prepare' | 'check'>;
  /** Where the definition has none. */
  identities: readonly string[];
  passphraseFiles: readonly string[];
  /** Hex; see Preparation. */
  digestKey: string;
  /** Refuses what another VM has or the host lacks; see HostClaims. */
  claimHost(plan: VmPlan, launcher: ProcessFacts | undefined): Promise<readonly HostClaim[]>;
  onPhase(phase: StartPhase, durationMs: number): void;
  /** As claimHost, without taking anything. */
  checkHost(plan: VmPlan): Promise<HostReport>;
}

export interface StartOptions {
  definition: Definition;
  paths: VmPaths;
  console: Console;
  /** Where a unit runs, in place of the definition's. */
  workingDirectory?: string;
  /** A launcher's command, in place of the definition's. */
  command?: readonly string[];
  /** A unit's process that is to become the VMM. */
  launcher?: ProcessFacts;
  ownsConsole: boolean;
  /** Told what is to be started, before secrets are opened. */
  onPlanned?(plan: VmPlan, signal: AbortSignal): void;
  /** Gives the VMM that listens on the plan's API socket: spawned here, or by a unit. */
  obtainVmm(prepared: PreparedVm, signal: AbortSignal): Promise<VmmProcess>;
  /** What the VMM, or what ran before it, said last; empty where nothing was spawned. */
  readLastWords?(): Promise<string>;
  /** Told once the credentials are ready. */
  onPrepared(prepared: PreparedVm, notes: readonly string[]): void;
  signal: AbortSignal;
}

/** A VM whose credentials are ready and which has no VMM yet. */
export interface PreparedVm {
  plan: VmPlan;
  credentials: readonly PreparedCredential[];
  claims: readonly HostClaim[];
  /** Of the definition that it was started from. */
  definitionDigest: string;
}

/** A VM whose guest runs. */
export interface RunningVm {
  apiSocket: string;
  console: ConsolePlan | undefined;
  channels: GuestChannelPlans;
  /** Undefined where an earlier daemon started it. */
  plan: VmPlan | undefined;
  vmm: VmmProcess;
  control: VmmControl;
  credentials: readonly PreparedCredential[];
  claims: readonly HostClaim[];
  definitionDigest: string;
}

export function startVm(tools: StartTools, options: StartOptions): Promise<RunningVm> {
  const { definition, signal, readLastWords } = options;
  return withinStartTimeout(definition, signal, both => start(tools, options, both), readLastWords);
}

/**
 * @param work is given what ends it: `signal`, or the deadline
 * @throws VmsecretdError vmm_timeout
 */
export async function withinStartTimeout<Result>(
  { name: vm, startTimeoutSeconds }: Definition,
  signal: AbortSignal,
  work: (both: AbortSignal) => Promise<Result>,
  readLastWords: StartOptions['readLastWords'] = async () => '',
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

async function start(tools: StartTools, options: StartOptions, signal: AbortSignal): Promise<RunningVm> {
  const { definition } = options;
  const timer = startTimer(tools);
  const definitionDigest = digestDefinition(definition);
  const plan = await planVm(tools, options);
  const claims = await tools.claimHost(plan, options.launcher);
  timer.end('plan');
  options.onPlanned?.(plan, signal);
  const delivery = await prepareCredentials(tools, definition, plan, signal);
  timer.end('secrets');
  try {
    const prepared = { plan, credentials: delivery.credentials, claims, definitionDigest };
    options.onPrepared(prepared, delivery.notes);
    const vmm = await options.obtainVmm(prepared, signal);
    timer.end('spawn');
    const control = await bringUp(tools, options, {
      plan,
      delivery,
      vmm,
      signal,
      onPhase: phase => timer.end(phase),
    }).catch(error => explainRefusal(error, definition, plan, tools));
    timer.end('boot');
    const { apiSocket, console, channels } = plan;
    return { apiSocket, console, channels, vmm, control, ...prepared };
  } finally {
    delivery.end();
  }
}

/** Steps 1 and 2: nothing is touched. */
export async function planVm(
  tools: Pick<StartTools, 'hypervisor'>,
  options: Pick<StartOptions, 'definition' | 'paths' | 'command' | 'workingDirectory' | 'ownsConsole'>,
): Promise<VmPlan> {
  const { definition, paths, command, ownsConsole } = options;
  const context = {
    paths,
    ownsConsole,
    workingDirectory: options.workingDirectory ?? definition.workingDirectory ?? paths.directory,
    ...(command === undefined ? {} : { command }),
  };
  return tools.hypervisor.plan(definition, context).catch(error => {
    throw nameVm(error, definition.name);
  });
}

/** Steps 3 and 4, in the deliverer: every secret is read and fits, or the start ends here. */
export function prepareCredentials(
  tools: StartTools,
  definition: Definition,
  plan: VmPlan,
  signal: AbortSignal,
): Promise<Delivery> {
  return tools.deliverers.prepare(preparationOf(tools, definition, plan), signal);
}

export function preparationOf(
  tools: Pick<StartTools, 'identities' | 'passphraseFiles' | 'digestKey'>,
  definition: Definition,
  { staticOemStrings, packing, channels }: Pick<VmPlan, 'staticOemStrings' | 'packing' | 'channels'>,
): Preparation {
  return {
    vm: definition.name,
    credentials: definition.credentials,
    identities: [...(definition.identities ?? tools.identities)],
    passphraseFiles: [...tools.passphraseFiles],
    staticOemStrings: [...staticOemStrings],
    packing,
    wantsReceipt: channels.receipt !== undefined,
    digestKey: tools.digestKey,
  };
}

interface SpawnedVm {
  plan: VmPlan;
  delivery: Delivery;
  vmm: VmmProcess;
  signal: AbortSignal;
  onPhase(phase: 'listen' | 'create'): void;
}

/** Step 6. A VMM that cannot be brought up is killed: SIGTERM would look like success to systemd. */
async function bringUp(
  tools: StartTools,
  { definition, paths, console }: StartOptions,
  { plan, delivery, vmm, signal, onPhase }: SpawnedVm,
): Promise<VmmControl> {
  const gone = new AbortController();
  void vmm.exited.then(exit => {
    const code = exit.status === 126 || exit.status === 127 ? 'vmm_missing' : 'vmm_refused';
    const message = `VM ${definition.name}: ${plan.program} ${describeExit(exit)}`;
    gone.abort(new VmsecretdError(code, message, { details: { vm: definition.name, path: plan.program } }));
  });
  const either = AbortSignal.any([signal, gone.signal]);
  try {
    return await tools.hypervisor.bringUp({
      plan,
      paths,
      delivery,
      timeoutMs: definition.startTimeoutSeconds * 1000,
      onListening: () => onPhase('listen'),
      connectConsole: () => {
        onPhase('create');
        return console.connect(plan.console);
      },
      signal: either,
    });
  } catch (error) {
    // A connection breaks a little before the end of its process is known, and why that ended says more.
    if (isUnanswered(error)) await goneWithin(vmm, OWN_END_MS);
    const wasEnded = either.aborted;
    vmm.kill('SIGKILL');
    const { status } = await vmm.exited;
    await console.disconnect();
    // The deliverer, which removes each once it is read, may have been ended before.
    await Promise.all(plan.fifos.map(path => rm(path, { force: true })));
    // Why it ended says more than what broke off, unless we have just ended it: a status means that it exited.
    throw wasEnded || status !== null ? either.reason : error;
  }
}

/** A VMM says "No such file or directory" and not which. @throws always */
async function explainRefusal(
  error: unknown,
  { supervisor }: Definition,
  plan: VmPlan,
  { checkHost }: StartTools,
): Promise<never> {
  // A unit may have files of its own.
  const isExplicable =
    error instanceof VmsecretdError && error.code === 'vmm_refused' && supervisor === 'daemon';
  if (!isExplicable) throw error;
  const { problems } = await checkHost(plan).catch(() => ({ problems: [] }));
  if (problems.length === 0) throw error;
  const prefix = `VM ${plan.vm}: `;
  const why = problems.map(({ message }) =>
    message.startsWith(prefix) ? message.slice(prefix.length) : message,
  );
  throw new VmsecretdError(error.code, `${error.message} (${why.join('; ')})`, {
    details: error.details,
    cause: error,
  });
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

/** Each phase begins where the last one ended. */
function startTimer({ onPhase }: Pick<StartTools, 'onPhase'>): { end(phase: StartPhase): void } {
  let beganAt = performance.now();
  return {
    end: phase => {
      const endedAt = performance.now();
      onPhase(phase, endedAt - beganAt);
      beganAt = endedAt;
    },
  };
}
