// Finds VMMs again that outlived an earlier daemon, by pid and start time and API socket.
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Hypervisor } from '../hypervisor/hypervisor.js';
import { isSameProcess, processListensOn } from '../system/procfs.js';
import type { VmmRecord } from './record.js';
import type { RunningVm } from './start-vm.js';
import type { VmmExit, VmmProcess } from './vmm-process.js';

/**
 * @returns undefined where that process is gone, or is somebody else's by now: it is never touched then
 * @throws VmsecretdError vmm_refused, vmm_timeout: it lives and does not answer
 */
export async function adoptVmm(
  vm: string,
  record: VmmRecord,
  hypervisor: Hypervisor,
  signal: AbortSignal,
): Promise<RunningVm | undefined> {
  if (!(await isSameProcess(record.pid, record.startTimeTicks))) return undefined;
  if (!(await processListensOn(record.pid, record.apiSocket))) return undefined;
  const control = await hypervisor.connect(vm, record.apiSocket, signal);
  return {
    plan: {
      hypervisor: record.hypervisor,
      vm,
      program: '',
      arguments: [],
      fifos: [],
      staticOemStrings: [],
      packing: { kind: 'fifo', limitBytes: 0 },
      apiSocket: record.apiSocket,
      console: record.console,
      vmConfig: undefined,
    },
    vmm: adoptedProcess(record),
    control,
    credentials: record.credentials,
  };
}

/** A process that is not our child: an idle connection to its API socket closes 3 ms after it dies. */
function adoptedProcess({ pid, startTimeTicks, apiSocket }: VmmRecord): VmmProcess {
  const exited = new Promise<void>(resolve => {
    const follow = () => {
      const connection = connect(apiSocket);
      connection.on('error', () => {});
      connection.on('close', async () => {
        // The connection may also end while the process lives on.
        if (!(await isSameProcess(pid, startTimeTicks))) return resolve();
        setTimeout(follow, 100);
      });
      connection.resume();
    };
    follow();
  }).then(async (): Promise<VmmExit> => {
    // Nobody can ask for the exit status of somebody else's child. A VMM that ends by itself removes its socket.
    const left = await stat(apiSocket).then(
      () => true,
      () => false,
    );
    return left ? { status: null, signal: null, lastWords: '' } : { status: 0, signal: null, lastWords: '' };
  });
  return {
    pid,
    startTimeTicks,
    exited,
    kill: name => {
      void isSameProcess(pid, startTimeTicks).then(same => {
        if (same) process.kill(pid, name);
      });
    },
  };
}
