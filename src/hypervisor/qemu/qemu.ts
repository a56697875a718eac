// QEMU as a Hypervisor, for hosts without KVM, for demos and tests: credentials through FIFOs, control by QMP.
import type { Definition } from '../../definition/definition.js';
import { checkOemStrings, credentialNames } from '../../definition/oem-strings.js';
import { hasCredentialChannel } from '../../definition/on-demand.js';
import { VmsecretdError } from '../../errors.js';
import { fifoPaths } from '../fifos.js';
import type {
  BringUp,
  GuestChannelPlans,
  Hypervisor,
  PlanContext,
  VmmControl,
  VmPlan,
} from '../hypervisor.js';
import { qemuNeeds } from './host-needs.js';
import { qemuArguments, staticOemStrings } from './qemu-arguments.js';
import { connectQmp, type QmpClient } from './qmp-client.js';

/** QEMU 7.2 delivers 65,181 bytes whole and 65,219 cut, without a word (docs/compatibility.md); less what its own tables take. */
const OEM_STRINGS_BYTES = 64_000;

const CALL_TIMEOUT_MS = 10_000;

/** @param locate gives the absolute path of a program by name or path, or throws vmm_missing */
export function createQemu(locate: (program: string | undefined) => Promise<string>): Hypervisor {
  return {
    kind: 'qemu',
    locate,
    servesOneClient: true,
    plan: (definition, context) => planVm(locate, definition, context),
    bringUp,
    // It boots whatever it read: a FIFO whose writer was killed ends early, and nothing tells. So never for sure.
    isBooted: () => Promise.resolve(false),
    isPaused: (_vm, socket, signal) => isPaused(socket, signal),
    connect: (vm, socket, signal, timeoutMs = CALL_TIMEOUT_MS) => connect(vm, socket, timeoutMs, signal),
  };
}

async function planVm(
  locate: (program: string | undefined) => Promise<string>,
  definition: Definition,
  { paths }: PlanContext,
): Promise<VmPlan> {
  const { name: vm, command } = definition;
  if (command === undefined) {
    throw new VmsecretdError('definition_invalid', `VM ${vm}: ${definition.path} has no command`, {
      details: { vm },
    });
  }
  const strings = [...staticOemStrings(command), ...definition.oemStrings];
  const credentials = credentialNames(definition);
  checkOemStrings(vm, strings, credentials);
  const channels = channelsOf(definition, paths);
  const fifos = fifoPaths(paths.directory, credentials.length);
  const leading = command[0]?.startsWith('-') === false ? command[0] : undefined;
  const program = await locate(definition.program ?? leading);
  const argv = qemuArguments(command, {
    fifoPaths: fifos,
    oemStrings: definition.oemStrings,
    qmpSocketPath: paths.apiSocket,
    consoleSocketPath: paths.consoleSocket,
    consoleLogPath: paths.consoleLog,
    ports: portsOf(channels),
  });
  return {
    hypervisor: 'qemu',
    vm,
    program,
    arguments: argv,
    spawned: [program, ...argv],
    waitsForVm: false,
    fifos,
    staticOemStrings: strings,
    packing: { kind: 'fifo', limitBytes: OEM_STRINGS_BYTES },
    apiSocket: paths.apiSocket,
    bootsAfter: [],
    links: [],
    channels,
    console: { kind: 'log', path: paths.consoleLog, inputSocket: paths.consoleSocket },
    needs: qemuNeeds(command),
    view: () => ({ command: [program, ...argv], vmConfig: null, arguments: argv }),
  };
}

/** QEMU's own vsock needs a kernel module of the host; a virtio-serial port works everywhere. */
function channelsOf(definition: Definition, paths: PlanContext['paths']): GuestChannelPlans {
  const { ready } = definition;
  const port = (path: string) => ({ kind: 'port' as const, path });
  return {
    ...(ready === 'notify' ? { notify: port(paths.notifyPort) } : {}),
    ...(ready === 'receipt' ? { receipt: port(paths.reportPort) } : {}),
    ...(hasCredentialChannel(definition)
      ? { credentials: port(paths.credentialsPort), refresh: port(paths.refreshPort) }
      : {}),
  };
}

/** By the names that the guest parts look for. */
const PORT_NAMES: Record<keyof GuestChannelPlans, string> = {
  notify: 'org.vmsecretd.notify',
  receipt: 'org.vmsecretd.report',
  credentials: 'org.vmsecretd.credentials',
  refresh: 'org.vmsecretd.refresh',
};

function portsOf(channels: GuestChannelPlans): { name: string; socketPath: string }[] {
  return (Object.keys(PORT_NAMES) as (keyof GuestChannelPlans)[]).flatMap(channel => {
    const plan = channels[channel];
    return plan === undefined ? [] : [{ name: PORT_NAMES[channel], socketPath: plan.path }];
  });
}

async function bringUp({ plan, delivery, timeoutMs, connectConsole, signal }: BringUp): Promise<VmmControl> {
  await connectConsole();
  // QEMU reads the FIFOs before it listens for QMP.
  if (plan.fifos.length > 0)
    await delivery.deliver({ kind: 'fifo', paths: [...plan.fifos], timeoutMs }, signal);
  return connect(plan.vm, plan.apiSocket, timeoutMs, signal);
}

async function connect(
  vm: string,
  socketPath: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<VmmControl> {
  // The signal is for connecting only: a client made with it would close when the start is over.
  const probe = await connectQmp(socketPath, { timeoutMs, signal });
  const version = await readVersion(probe).finally(() => probe.close());
  const call = async (command: string, callTimeoutMs = CALL_TIMEOUT_MS) => {
    // QMP serves one client at a time; a connection held open would keep the operator's own tools out.
    const client = await connectQmp(socketPath, { timeoutMs: callTimeoutMs });
    try {
      await client.execute(command);
    } catch (error) {
      if (!(error instanceof VmsecretdError)) throw error;
      throw new VmsecretdError(error.code, `VM ${vm}: ${error.message}`, {
        details: { ...error.details, vm },
        cause: error,
        words: error.words,
      });
    } finally {
      client.close();
    }
  };
  return {
    version,
    powerButton: buttonTimeoutMs => call('system_powerdown', buttonTimeoutMs),
    shutdown: () => call('quit'),
    reboot: () => call('system_reset'),
    pause: () => call('stop'),
    resume: () => call('cont'),
  };
}

async function isPaused(socketPath: string, signal: AbortSignal): Promise<boolean | undefined> {
  const client = await connectQmp(socketPath, { timeoutMs: CALL_TIMEOUT_MS, signal });
  try {
    const answer = (await client.execute('query-status')) as { status?: unknown } | null | undefined;
    return answer?.status === 'paused' || (answer?.status === 'running' ? false : undefined);
  } finally {
    client.close();
  }
}

/** A QEMU that was taken over may answer with anything. */
async function readVersion(client: QmpClient): Promise<string> {
  const answer = (await client.execute('query-version')) as
    | { qemu?: Record<string, unknown> }
    | null
    | undefined;
  const parts = ['major', 'minor', 'micro'].map(name => answer?.qemu?.[name]);
  return parts.every(Number.isSafeInteger) ? parts.join('.') : 'unknown';
}
