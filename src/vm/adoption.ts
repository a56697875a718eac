// Finds VMMs again that outlived an earlier daemon, by pid and start time and API socket.
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Hypervisor } from '../hypervisor/hypervisor.js';
import { isSameProcess, processListensOn } from '../system/procfs.js';
import type { VmmRecord } from './record.js';
import type { RunningVm } from './start-vm.js';
import type { VmmExit, VmmProcess } from './vmm-process.js';

/** Whether the recorded VMM still is that very process, listening where it should: nobody else's is ever touched. */
export async function isRecordedVmm({ pid, startTimeTicks, apiSocket }: VmmRecord): Promise<boolean> {
  return (await isSameProcess(pid, startTimeTicks)) && processListensOn(pid, apiSocket);
}

/** @throws VmsecretdError vmm_refused, vmm_timeout: it lives and does not answer */
export async function adoptVmm(
  vm: string,
  record: VmmRecord,
  hypervisor: Hypervisor,
  vmm: VmmProcess,
  signal: AbortSignal,
): Promise<RunningVm> {
  const control = await hypervisor.connect(vm, record.apiSocket, signal);
  const { apiSocket, console, credentials, claims, definitionDigest } = record;
  return {
    apiSocket,
    console: console ?? undefined,
    plan: undefined,
    vmm,
    control,
    credentials,
    claims,
    definitionDigest,
  };
}

export interface AttachOptions {
  pid: number;
  startTimeTicks: number;
  apiSocket: string;
  kill: VmmProcess['kill'];
}

/** How long until a VMM that ended a connection and lives is connected to again. */
const RECONNECT_MS = 100;

/** A process that is not our child: an idle connection to its API socket closes 3 ms after it dies. */
export function attachToVmm({ pid, startTimeTicks, apiSocket, kill }: AttachOptions): VmmProcess {
  const gone = new Promise<void>(resolve => {
    const follow = () => {
      const connection = connect(apiSocket);
      connection.on('error', () => {});
      connection.on('close', async () => {
        if (!(await isSameProcess(pid, startTimeTicks))) return resolve();
        setTimeout(follow, RECONNECT_MS);
      });
      connection.resume();
    };
    follow();
  });
  return { pid, startTimeTicks, kill, exited: gone.then(() => exitOf(apiSocket)) };
}

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
