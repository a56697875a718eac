// start, stop, restart, reboot, kill, pause, resume, refresh: each answers with the VM as it is when `wait` is met.
import type { FastifyInstance } from 'fastify';
import { type ErrorCode, VmsecretdError } from '../../errors.js';
import type { VmEvents } from '../../vm/events.js';
import type { LifecycleVerb } from '../../vm/lifecycle.js';
import type { Vm } from '../../vm/vm.js';
import type { Vms } from '../../vm/vms.js';
import { lastConsoleLines } from '../console-lines.js';
import { LifecycleQuery, NameParams, StopQuery, VmSchema, type Wait } from '../schemas.js';
import type { ConsoleTools } from './console.js';
import type { NameRoute } from './name-route.js';

type Verb = LifecycleVerb | 'refresh';

const SUMMARIES: Record<Verb, string> = {
  start: 'Start a VM with its secrets',
  stop: 'Ask the guest to power off, then make it',
  restart: 'Stop, then start with the secrets of now',
  reboot: 'Reset the guest; it keeps the secrets it was started with',
  kill: 'End the VMM at once',
  pause: 'Halt the virtual CPUs',
  resume: 'Let the virtual CPUs go on',
  refresh: 'Give the running guest the secrets of now, and wait for its receipt',
};

interface LifecycleRoute extends NameRoute {
  Querystring: { wait?: Wait; timeout?: number; grace?: number };
}

export interface LifecycleTools extends ConsoleTools {
  vms: Vms;
  events: VmEvents;
  /** As Refreshes.refresh. */
  refreshVm(vm: Vm): Promise<void>;
}

export function addLifecycleRoutes(app: FastifyInstance, tools: LifecycleTools): void {
  const { vms, events } = tools;
  for (const verb of Object.keys(SUMMARIES) as Verb[]) {
    app.post<LifecycleRoute>(
      `/v1/vms/:name/${verb}`,
      {
        config: { crowd: 'work' },
        schema: {
          summary: SUMMARIES[verb],
          params: NameParams,
          querystring: verb === 'stop' ? StopQuery : LifecycleQuery,
          response: { 200: VmSchema, 202: VmSchema },
        },
      },
      async (request, reply) => {
        const { vm, lifecycle } = vms.get(request.params.name);
        const { wait, timeout, grace } = request.query;
        const done =
          verb === 'refresh'
            ? tools.refreshVm(vm)
            : verb === 'stop'
              ? lifecycle.stop(grace)
              : lifecycle[verb]();
        if (wait === 'none') {
          // The work goes on; what becomes of it shows in the VM and in the events.
          done.catch(error =>
            request.log.warn({ vm: vm.name, verb, code: codeOf(error) }, 'request failed later'),
          );
          return reply.code(202).send(vm.view(request.isRoot));
        }
        await within(vm, wait, timeout, async signal => {
          await done;
          if (wait === 'stopped') await reach(vm, events, wait, signal);
          if (wait !== 'ready') return;
          // Without a deadline of the caller's, the guest gets as long as its VMM had.
          const readySeconds = timeout === undefined ? vm.definition.startTimeoutSeconds : undefined;
          await within(vm, wait, readySeconds, late =>
            reach(vm, events, wait, AbortSignal.any([signal, late])),
          );
        }).catch(error => withConsole(vm, error, tools));
        return vm.view(request.isRoot);
      },
    );
  }
}

function codeOf(error: unknown): string {
  return error instanceof VmsecretdError ? error.code : 'internal';
}

async function within(
  vm: Vm,
  wait: Wait | undefined,
  timeoutSeconds: number | undefined,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeoutSeconds === undefined) return;
    timer = setTimeout(() => reject(tooLate(vm, wait, timeoutSeconds)), timeoutSeconds * 1000);
  });
  const working = work(abort.signal);
  // After the deadline the work goes on, and nobody waits for its error.
  working.catch(() => {});
  try {
    await Promise.race([working, late]);
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

function tooLate(vm: Vm, wait: Wait | undefined, timeoutSeconds: number): VmsecretdError {
  const status = vm.guestStatus === null ? '' : `; its guest says: ${vm.guestStatus}`;
  const receipt =
    wait === 'ready' && vm.receipt === 'pending'
      ? '; no receipt of its credentials came: is vmsecretd-receipt, of the guest parts, installed in it?'
      : '';
  return new VmsecretdError(
    wait === 'ready' ? 'ready_timeout' : 'vmm_timeout',
    `VM ${vm.name} is ${vm.state} and not ${wait ?? 'done'} after ${timeoutSeconds} s${status}${receipt}`,
    { details: { vm: vm.name, state: vm.state } },
  );
}

/** Whoever waited in vain sees what the guest printed last. @throws always */
async function withConsole(vm: Vm, error: unknown, { readConsole }: ConsoleTools): Promise<never> {
  if (!(error instanceof VmsecretdError) || !TIMEOUTS.includes(error.code)) throw error;
  const console = await lastConsoleLines(readConsole(vm, false));
  const { code, message, details, words } = error;
  throw new VmsecretdError(code, message, { details: { ...details, console }, words });
}

const TIMEOUTS: readonly ErrorCode[] = ['ready_timeout', 'vmm_timeout'];

/** The VM runs on, so that an operator can look into its guest; whoever waited for it gets no ready VM. */
function receiptFailed(vm: Vm): VmsecretdError {
  return new VmsecretdError(
    'ready_timeout',
    `VM ${vm.name} is ${vm.state} without all of its credentials; its guest's receipt ${vm.receipt}`,
    { details: { vm: vm.name, state: vm.state } },
  );
}

/** Waits until the VM is ready or stopped. @throws VmsecretdError where it cannot become that any more */
function reach(vm: Vm, events: VmEvents, wait: 'ready' | 'stopped', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const down = vm.state === 'stopped' || vm.state === 'failed';
      const met = wait === 'ready' ? vm.ready : down;
      const isRefuted = wait === 'ready' && vm.receipt?.startsWith('failed') === true;
      if (!met && !down && !isRefuted) return;
      unsubscribe();
      if (met) return resolve();
      if (isRefuted) return reject(receiptFailed(vm));
      const why = vm.problem === null ? '' : `: ${vm.problem.detail}`;
      reject(
        new VmsecretdError(
          vm.problem?.code ?? 'state_conflict',
          `VM ${vm.name} is ${vm.state}, not ${wait}${why}`,
          { details: { vm: vm.name, state: vm.state }, words: vm.problem === null ? undefined : vm.vmmWords },
        ),
      );
    };
    const unsubscribe = events.subscribe(event => {
      if (event.vm === vm.name) look();
    });
    signal.addEventListener('abort', () => unsubscribe(), { once: true });
    look();
  });
}
