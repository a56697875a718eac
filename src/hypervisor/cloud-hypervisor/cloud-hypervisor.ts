// cloud-hypervisor as a Hypervisor: its own options on the command line, the VM through its API socket.
import { access } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Definition } from '../../definition/definition.js';
import { hasCredentialChannel } from '../../definition/on-demand.js';
import { VmsecretdError } from '../../errors.js';
import type { BringUp, Hypervisor, LaunchPlan, VmmApi, VmmControl, VmPaths, VmPlan } from '../hypervisor.js';
import { callVmm, isBooted, readCounters, type VmmVerb, waitForApi } from './api-client.js';
import { planVm } from './plan-vm.js';

const CALL_TIMEOUT_MS = 10_000;
const NETS_POLL_MS = 10;

/** Asks by way of a process that may have secrets: what a VMM says of its VM has them in it. */
export type ReadVmState = (api: VmmApi, signal: AbortSignal) => Promise<string>;

/** @param locate gives the absolute path of the definition's program or of the configuration's, or throws vmm_missing */
export function createCloudHypervisor(
  locate: (program: string | undefined) => Promise<string>,
  readVmState: ReadVmState,
): Hypervisor {
  return {
    kind: 'cloud-hypervisor',
    locate,
    servesOneClient: false,
    unit: {
      // With a channel, which `ready` may ask for.
      placeholder: ['--kernel', '/dev/null', '--vsock', 'cid=3,socket=vsock.sock'],
      plan: async (definition, paths, plan) =>
        planLaunch(plan?.program ?? (await locate(definition.program)), definition, paths, plan),
      // The connection waits until the VMM accepts it: systemd listens already.
      untilLaunched: (vm, { apiSocket }, { signal, timeoutMs }) => connect(vm, apiSocket, signal, timeoutMs),
      // It has no VM until it is given one.
      admit: () => Promise.resolve(),
    },
    plan: async (definition, context) => planVm(await locate(definition.program), definition, context),
    bringUp,
    isBooted: (vm, apiSocket) => isBooted(apiOf(vm, apiSocket)),
    isPaused: async (vm, apiSocket, signal) => {
      const state = await readVmState(apiOf(vm, apiSocket), signal);
      if (state === 'Created') throw noGuest(vm);
      return state === 'Paused' || (state === 'Running' ? false : undefined);
    },
    connect,
  };
}

function planLaunch(
  program: string,
  definition: Definition,
  { reportPort, credentialsPort, refreshPort }: VmPaths,
  plan: VmPlan | undefined,
): LaunchPlan {
  const vsock = (path: string) => ({ kind: 'vsock' as const, path });
  return {
    program,
    arguments: plan?.arguments ?? [],
    // The launcher itself passes the socket.
    added: [],
    fifos: [],
    // Where they end does not depend on the command line.
    channels: plan?.channels ?? {
      ...(definition.ready === 'receipt' ? { receipt: vsock(reportPort) } : {}),
      ...(hasCredentialChannel(definition)
        ? { credentials: vsock(credentialsPort), refresh: vsock(refreshPort) }
        : {}),
    },
  };
}

/** A reset makes the devices again before it boots: where that fails a VM is left that nobody boots. */
function noGuest(vm: string): VmsecretdError {
  return new VmsecretdError(
    'vmm_refused',
    `VM ${vm}: its VMM has no guest, because a reset failed that vmsecretd did not see the end of; start the VM`,
    { details: { vm, hasGuest: false } },
  );
}

function apiOf(vm: string, socketPath: string, timeoutMs = CALL_TIMEOUT_MS): VmmApi {
  return { vm, socketPath, timeoutMs };
}

async function bringUp(options: BringUp): Promise<VmmControl> {
  const { plan, delivery, timeoutMs, onListening, connectConsole, signal } = options;
  const { vm, apiSocket } = plan;
  if (plan.packing.kind === 'cmdline') {
    await connectConsole();
    await delivery.deliver({ kind: 'fifo', paths: [...plan.fifos], timeoutMs }, signal);
    return connect(vm, apiSocket, signal);
  }
  const startingApi = apiOf(vm, apiSocket, timeoutMs);
  const version = options.answered?.version ?? (await waitForApi(startingApi, signal));
  onListening();
  await delivery.deliver({ kind: 'api', socketPath: apiSocket, timeoutMs: CALL_TIMEOUT_MS }, signal);
  for (const path of plan.bootsAfter) await untilFileIsThere(path, signal);
  await connectConsole();
  await callVmm(startingApi, 'vm.boot', signal);
  return control(apiOf(vm, apiSocket), version);
}

/** The launcher's child makes it. */
async function untilFileIsThere(path: string, signal: AbortSignal): Promise<void> {
  const isThere = () =>
    access(path).then(
      () => true,
      () => false,
    );
  while (!(await isThere())) await delay(NETS_POLL_MS, undefined, { signal });
}

async function connect(
  vm: string,
  apiSocket: string,
  signal: AbortSignal,
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<VmmControl> {
  return control(apiOf(vm, apiSocket), await waitForApi(apiOf(vm, apiSocket, timeoutMs), signal));
}

function control(api: VmmApi, version: string): VmmControl {
  const call = (verb: VmmVerb) => callVmm(api, verb);
  return {
    version,
    powerButton: timeoutMs => callVmm({ ...api, timeoutMs }, 'vm.power-button'),
    shutdown: () => call('vmm.shutdown'),
    reboot: timeoutMs => callVmm({ ...api, timeoutMs }, 'vm.reboot'),
    pause: () => call('vm.pause'),
    resume: () => call('vm.resume'),
    counters: timeoutMs => readCounters({ ...api, timeoutMs }),
  };
}
