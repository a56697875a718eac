// Finds VMMs again that outlived an earlier daemon, by pid and start time and API socket.
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { VmsecretdError } from '../errors.js';
import type { Hypervisor } from '../hypervisor/hypervisor.js';
import { connectDirectly } from '../system/connect-directly.js';
import { isSameProcess } from '../system/procfs.js';
import { type ChildRecord, isChildRecord, type VmRecord } from '../vm/record.js';
import type { RecordStore } from '../vm/record-store.js';
import type { RunningVm } from '../vm/start-vm.js';
import type { VmmExit, VmmProcess } from '../vm/vmm-process.js';

/** Whether the recorded VMM still runs, with a guest that was booted: one that was being started may have no VM. */
export async function canAdoptChild(
  vm: string,
  { phase, vmm: { pid, startTimeTicks }, apiSocket }: ChildRecord,
  hypervisor: Hypervisor,
): Promise<boolean> {
  return (
    (await isSameProcess(pid, startTimeTicks)) &&
    (phase === 'running' || hypervisor.isBooted(vm, apiSocket).catch(() => false))
  );
}

/**
 * Takes a recorded VMM over.
 * @throws VmsecretdError vmm_refused, vmm_timeout: it lives and does not answer
 */
export async function adoptVmm(
  vm: string,
  record: VmRecord,
  hypervisor: Hypervisor,
  vmm: VmmProcess,
): Promise<RunningVm> {
  const deadline = AbortSignal.timeout(ADOPTION_TIMEOUT_MS);
  const control = await hypervisor.connect(vm, record.apiSocket, deadline).catch(error => {
    throw deadline.aborted ? answersNothing(vm, vmm.pid) : error;
  });
  const { apiSocket, console, channels, credentials, refreshed, claims, definitionDigest, workingDirectory } =
    record;
  return {
    apiSocket,
    console,
    channels,
    plan: undefined,
    vmm,
    control,
    credentials,
    refreshed,
    claims,
    definitionDigest,
    workingDirectory,
  };
}

/**
 * Whether the guest of a VMM that is taken over is paused, by what its VMM says: a daemon may have ended between what it did and what
 * it noted, and other programs may pause and resume, too.
 * @throws VmsecretdError vmm_refused: it has no guest any more
 */
export async function findIsPaused(vm: string, record: VmRecord, hypervisor: Hypervisor): Promise<boolean> {
  const deadline = AbortSignal.timeout(ADOPTION_TIMEOUT_MS);
  const isPaused = await hypervisor.isPaused(vm, record.apiSocket, deadline).catch(error => {
    if (error instanceof VmsecretdError && error.details.hasGuest === false) throw error;
    return undefined;
  });
  return isPaused ?? record.isPaused;
}

/** How long a VMM that lives has to answer a daemon that takes it over. */
const ADOPTION_TIMEOUT_MS = 10_000;

function answersNothing(vm: string, pid: number | null): VmsecretdError {
  return new VmsecretdError(
    'vmm_timeout',
    `VM ${vm}: its VMM (pid ${pid}) lives and has not answered within ${ADOPTION_TIMEOUT_MS / 1000} s; stop or start the VM to end it`,
    { details: { vm } },
  );
}

/** Ends a VMM that an earlier daemon started and this one could not take over, so that no second one runs beside it. */
export async function endRecordedVmm(
  vm: string,
  records: Pick<RecordStore, 'read' | 'remove'>,
): Promise<void> {
  const record = await records.read(vm);
  // A unit's VMM is for systemd to end.
  if (record === undefined || !isChildRecord(record)) return;
  const { pid, startTimeTicks } = record.vmm;
  await killSame(pid, startTimeTicks, 'SIGKILL');
  while (await isSameProcess(pid, startTimeTicks)) await delay(KILL_POLL_MS);
  await records.remove(vm);
}

/** SIGKILL takes effect within milliseconds. */
const KILL_POLL_MS = 5;

export interface AttachOptions {
  pid: number;
  startTimeTicks: number;
  apiSocket: string;
  kill: VmmProcess['kill'];
  /** See Hypervisor. */
  servesOneClient?: boolean;
}

/** How long until a VMM that ended a connection and lives is connected to again. */
const RECONNECT_MS = 100;
/** How often such a VMM is looked for; Node has no pidfd. */
const LOOK_MS = 250;

/** A process that is not our child: an idle connection to its API socket closes 3 ms after it dies. */
export function attachToVmm(options: AttachOptions): VmmProcess {
  const { pid, startTimeTicks, apiSocket, servesOneClient = false } = options;
  let isKilled = false;
  const gone = servesOneClient ? lookUntilGone(options) : followConnection(options);
  return {
    id: { pid, startTimeTicks },
    pid,
    kill: name => {
      isKilled ||= name === 'SIGKILL';
      options.kill(name);
    },
    exited: gone.then(() => (isKilled ? KILLED : exitOf(apiSocket))),
  };
}

function followConnection({ pid, startTimeTicks, apiSocket }: AttachOptions): Promise<void> {
  return new Promise(resolve => {
    const follow = async () => {
      const connection = await connectDirectly(apiSocket).catch(() => undefined);
      connection?.on('error', () => {}).resume();
      if (connection?.closed === false) await new Promise(closed => connection.once('close', closed));
      if (!(await seemsToLive(pid, startTimeTicks))) return resolve();
      setTimeout(follow, RECONNECT_MS);
    };
    void follow();
  });
}

async function lookUntilGone({ pid, startTimeTicks }: AttachOptions): Promise<void> {
  while (await seemsToLive(pid, startTimeTicks)) await delay(LOOK_MS, undefined, { ref: false });
}

/** A daemon that is short of descriptors knows no better. */
function seemsToLive(pid: number, startTimeTicks: number): Promise<boolean> {
  return isSameProcess(pid, startTimeTicks).catch(() => true);
}

/** By us: whether its socket is left says nothing, since systemd removes a unit's runtime directory with its end. */
const KILLED: VmmExit = { status: null, signal: 'SIGKILL', lastWords: '' };

/** Nobody can ask for the exit status of somebody else's child; but a VMM that ends by itself removes its socket. */
async function exitOf(apiSocket: string): Promise<VmmExit> {
  const isLeft = await stat(apiSocket).then(
    () => true,
    () => false,
  );
  return { status: isLeft ? null : 0, signal: null, lastWords: '' };
}

/** Sends a signal to that very process, or to none. */
export async function killSame(
  pid: number,
  startTimeTicks: number,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  if (await isSameProcess(pid, startTimeTicks)) process.kill(pid, signal);
}
