// Starts a VM whose VMM is a child of the daemon.
//
// INVARIANT: a VMM that was spawned is given back with its guest running, or it has ended.
import type { Definition } from '../../definition/definition.js';
import { digestDefinition } from '../../definition/definition-digest.js';
import type { Delivery } from '../../delivery/deliverers.js';
import { VmsecretdError } from '../../errors.js';
import type { VmPlan } from '../../hypervisor/hypervisor.js';
import type { UserIds } from '../../system/users.js';
import type { RecordStore } from '../../vm/record-store.js';
import {
  bootVm,
  planVm,
  prepareCredentials,
  type RunningVm,
  type StartTools,
  startTimer,
  withinStartTimeout,
  workingDirectoryOf,
} from '../../vm/start-vm.js';
import type { Vm } from '../../vm/vm.js';
import type { VmmProcess } from '../../vm/vmm-process.js';
import { readLastWords } from './daemon-child.js';

export interface StartChildTools {
  records: Pick<RecordStore, 'begin'>;
  startTools(): StartTools;
  /** Who the VMM runs as; undefined for the daemon's own user. */
  resolveOwner(): Promise<UserIds | undefined>;
  prepareDirectory(plan: VmPlan, owner: UserIds | undefined): Promise<void>;
  spawnVmm(
    definition: Definition,
    plan: VmPlan,
    owner: UserIds | undefined,
    signal: AbortSignal,
  ): Promise<VmmProcess>;
}

export async function startChild(vm: Vm, tools: StartChildTools, signal: AbortSignal): Promise<RunningVm> {
  const owner = await tools.resolveOwner();
  let isSpawned = false;
  const onSpawn = () => {
    isSpawned = true;
  };
  return withinStartTimeout(
    vm.definition,
    signal,
    both => start(vm, tools, { owner, onSpawn, signal: both }),
    async () => (isSpawned ? readLastWords(vm.paths.vmmLog) : ''),
  );
}

interface ChildStart {
  owner: UserIds | undefined;
  onSpawn(): void;
  signal: AbortSignal;
}

async function start(
  vm: Vm,
  tools: StartChildTools,
  { owner, onSpawn, signal }: ChildStart,
): Promise<RunningVm> {
  // The definition that the start was asked for: it may be replaced meanwhile.
  const { definition, paths, console } = vm;
  const startTools = tools.startTools();
  const timer = startTimer(startTools);
  const plan = await planVm(startTools, { definition, paths, ownsConsole: true });
  const claims = await startTools.claimHost(plan, undefined);
  timer.end('plan');
  const spawn = () => {
    onSpawn();
    return tools.spawnVmm(definition, plan, owner, signal);
  };
  let spawned: Promise<VmmProcess> | undefined;
  let delivery: Delivery | undefined;
  try {
    // What preStart does cannot be undone, so it comes after the secrets, and the VMM after it.
    if (plan.waitsForVm && definition.preStart.length === 0) {
      spawned = tools.prepareDirectory(plan, owner).then(spawn);
      // Awaited below, unless a secret fails first.
      spawned.catch(() => {});
    }
    delivery = await prepareCredentials(startTools, definition, plan, signal);
    timer.end('secrets');
    const { credentials, notes } = delivery;
    vm.credentialsPrepared(credentials, notes);
    await (spawned ?? tools.prepareDirectory(plan, owner));
    // QEMU connects to them as it is spawned.
    await vm.reports.open(plan.channels, credentials, owner);
    spawned ??= spawn();
    const vmm = await spawned;
    const launched = {
      apiSocket: plan.apiSocket,
      console: plan.console,
      channels: plan.channels,
      credentials,
      claims,
      definitionDigest: digestDefinition(definition),
      workingDirectory: workingDirectoryOf(definition, paths),
      vmm,
    };
    // A later daemon finds the VMM by this record alone.
    await tools.records.begin(vm, launched);
    timer.end('spawn');
    const control = await bootVm(startTools, {
      definition,
      console,
      plan,
      delivery,
      vmm,
      timer,
      signal,
    }).catch(error => explainRefusal(error, plan, startTools));
    return { ...launched, plan, control };
  } catch (error) {
    const vmm = await spawned?.catch(() => undefined);
    vmm?.kill('SIGKILL');
    await vmm?.exited;
    throw error;
  } finally {
    delivery?.end();
  }
}

/** A VMM says "No such file or directory" and not which. @throws always */
async function explainRefusal(error: unknown, plan: VmPlan, { checkHost }: StartTools): Promise<never> {
  if (!(error instanceof VmsecretdError) || error.code !== 'vmm_refused') throw error;
  const { problems } = await checkHost(plan).catch(() => ({ problems: [] }));
  if (problems.length === 0) throw error;
  const prefix = `VM ${plan.vm}: `;
  const why = problems.map(({ message }) =>
    message.startsWith(prefix) ? message.slice(prefix.length) : message,
  );
  throw new VmsecretdError(error.code, `${error.message} (${why.join('; ')})`, {
    details: error.details,
    cause: error,
    words: error.words,
  });
}
