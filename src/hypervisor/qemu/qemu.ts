// QEMU as a Hypervisor: credentials through FIFOs, which it reads as it starts; a guest that runs once the daemon says so by QMP.
import { join } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { checkOemStrings, credentialNames } from '../../definition/oem-strings.js';
import { hasCredentialChannel } from '../../definition/on-demand.js';
import { VmsecretdError } from '../../errors.js';
import { fifoPaths } from '../fifos.js';
import {
  type BringUp,
  type GuestChannelPlans,
  type Hypervisor,
  type LaunchPlan,
  type PlanContext,
  UNIT_PORTS,
  type UnitLauncher,
  type UnitPort,
  type VmmControl,
  type VmPaths,
  type VmPlan,
} from '../hypervisor.js';
import { untilRead, writeFifo } from '../write-fifo.js';
import { qemuNeeds } from './host-needs.js';
import { addedArguments, childArguments, portChardev, portDevices, unitArguments } from './qemu-arguments.js';
import { checkFwCfgCredentials, type QemuCommand, readQemuCommand } from './qemu-command.js';
import { connectQmp, type QmpClient } from './qmp-client.js';

/** QEMU 7.2 delivers 65,181 bytes whole and 65,219 cut, without a word (docs/compatibility.md); less what its own tables take. */
const OEM_STRINGS_BYTES = 64_000;

const CALL_TIMEOUT_MS = 10_000;

type Locate = (program: string | undefined) => Promise<string>;

/** @param locate gives the absolute path of a program by name or path, or throws vmm_missing */
export function createQemu(locate: Locate): Hypervisor {
  return {
    kind: 'qemu',
    locate,
    servesOneClient: true,
    unit: unitLauncher(locate),
    plan: (definition, context) => planVm(locate, definition, context),
    bringUp,
    isBooted: async (_vm, socket) =>
      !WAITING.has(await readStatus(socket, AbortSignal.timeout(CALL_TIMEOUT_MS))),
    isPaused: async (_vm, socket, signal) => {
      const status = await readStatus(socket, signal);
      return status === 'paused' || (status === 'running' ? false : undefined);
    },
    connect: (vm, socket, signal, timeoutMs = CALL_TIMEOUT_MS) => connect(vm, socket, timeoutMs, signal),
  };
}

async function planVm(locate: Locate, definition: Definition, context: PlanContext): Promise<VmPlan> {
  const { name: vm } = definition;
  const { paths, ownsConsole } = context;
  const words = context.command ?? definition.command;
  if (words === undefined) {
    throw new VmsecretdError('definition_invalid', `VM ${vm}: ${definition.path} has no command`, {
      details: { vm },
    });
  }
  const credentials = credentialNames(definition);
  const command = readFor(definition, words);
  const strings = [...command.oemStrings, ...definition.oemStrings];
  checkOemStrings(vm, strings, credentials);
  checkFwCfgCredentials(vm, command, [...strings, ...credentials]);
  const channels = channelsOf(definition, context);
  const fifos = fifosOf(definition, paths);
  const leading = words[0]?.startsWith('-') === false ? words[0] : undefined;
  // A launcher executes what its own command line names.
  const isNamed = context.command !== undefined && leading !== undefined;
  const program = isNamed ? leading : await locate(definition.program ?? leading);
  const argv = ownsConsole
    ? childArguments(command, {
        fifoPaths: fifos,
        oemStrings: definition.oemStrings,
        qmpSocketPath: paths.apiSocket,
        consoleSocketPath: paths.consoleSocket,
        consoleLogPath: paths.consoleLog,
        ports: portsOf(channels),
      })
    : argumentsInUnit(command, definition, context);
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
    console: ownsConsole
      ? { kind: 'log', path: paths.consoleLog, inputSocket: paths.consoleSocket }
      : undefined,
    needs: qemuNeeds(words),
    view: () => ({ command: [program, ...argv], vmConfig: null, arguments: argv }),
  };
}

function readFor(definition: Definition, words: readonly string[]): QemuCommand {
  return readQemuCommand(words, definition.oemStrings.length + credentialNames(definition).length > 0);
}

/** A launcher's own command line is executed as it is. */
function argumentsInUnit(
  command: QemuCommand,
  definition: Definition,
  { command: given, paths }: PlanContext,
): string[] {
  const words = given === undefined ? unitArguments(command) : given.slice(given[0]?.startsWith('-') ? 0 : 1);
  return [...words, ...addedFor(definition, paths)];
}

function addedFor(definition: Definition, paths: VmPaths): string[] {
  return addedArguments({ oemStrings: definition.oemStrings, fifoPaths: fifosOf(definition, paths) });
}

function fifosOf(definition: Definition, { fifos }: VmPaths): string[] {
  return fifoPaths(fifos, credentialNames(definition).length);
}

/** QEMU's own vsock needs a kernel module of the host; a virtio-serial port works everywhere. */
function channelsOf(definition: Definition, { paths, ownsConsole }: PlanContext): GuestChannelPlans {
  const { name: vm, ready } = definition;
  if (ready === 'notify' && !ownsConsole) {
    throw new VmsecretdError(
      'definition_invalid',
      `VM ${vm}: ready "notify" cannot be heard from a QEMU in a unit; use "receipt" or "boot"`,
      { details: { vm } },
    );
  }
  const port = (path: string) => ({ kind: 'port' as const, path });
  const { unitPorts } = paths;
  return {
    ...(ready === 'notify' ? { notify: port(paths.notifyPort) } : {}),
    ...(ready === 'receipt' ? { receipt: port(ownsConsole ? paths.reportPort : unitPorts.receipt) } : {}),
    ...(hasCredentialChannel(definition)
      ? {
          credentials: port(ownsConsole ? paths.credentialsPort : unitPorts.credentials),
          refresh: port(ownsConsole ? paths.refreshPort : unitPorts.refresh),
        }
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

function unitLauncher(locate: Locate): UnitLauncher {
  const gateOf = ({ fifos }: VmPaths) => join(fifos, 'gate');
  return {
    placeholder: ['qemu-system-x86_64'],
    plan: async (definition, paths, plan) => {
      const channels = channelsOf(definition, { paths, ownsConsole: false, workingDirectory: '/' });
      return {
        program: plan?.program ?? (await locateIfThere(locate, definition)),
        arguments:
          definition.command === undefined ? [] : unitArguments(readFor(definition, definition.command)),
        added: [...addedFor(definition, paths), ...socketArguments(channels)],
        fifos: fifosOf(definition, paths),
        gate: gateOf(paths),
        channels,
      };
    },
    untilLaunched: async (_vm, paths, { signal }) => {
      await untilRead(gateOf(paths), signal);
      return undefined;
    },
    admit: (paths, options) => writeFifo(gateOf(paths), Buffer.from('go\n'), options),
  };
}

/** Where the launcher's own command line may name the program. */
async function locateIfThere(locate: Locate, { program }: Definition): Promise<string | undefined> {
  return locate(program).catch(error => {
    if (program !== undefined) throw error;
    return undefined;
  });
}

/** By descriptor: systemd made them, so no other process can be on them. */
function socketArguments(channels: GuestChannelPlans): LaunchPlan['added'] {
  const chardev = (id: string, socket: 'api' | UnitPort): LaunchPlan['added'] => [
    '-chardev',
    { before: `socket,id=${id},server=on,wait=off,fd=`, socket },
  ];
  const ports = UNIT_PORTS.filter(port => channels[port] !== undefined);
  return [
    ...chardev('vmsecretd-qmp', 'api'),
    ...['-mon', 'chardev=vmsecretd-qmp,mode=control'],
    ...ports.flatMap((port, index) => chardev(portChardev(index), port)),
    ...portDevices(ports.map(port => PORT_NAMES[port])),
  ];
}

async function bringUp({ plan, delivery, timeoutMs, connectConsole, signal }: BringUp): Promise<VmmControl> {
  await connectConsole();
  // QEMU reads the FIFOs before it listens for QMP.
  if (plan.fifos.length > 0)
    await delivery.deliver({ kind: 'fifo', paths: [...plan.fifos], timeoutMs }, signal);
  const control = await connect(plan.vm, plan.apiSocket, timeoutMs, signal);
  // It would boot with whatever it read: a FIFO whose writer was killed ends early, and nothing tells. So it waits (-S) until the
  // deliverer has said that every string is written.
  await control.resume();
  return control;
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

/** Of a guest that has not run yet. */
const WAITING = new Set<unknown>(['prelaunch', 'inmigrate', undefined]);

async function readStatus(socketPath: string, signal: AbortSignal): Promise<unknown> {
  const client = await connectQmp(socketPath, { timeoutMs: CALL_TIMEOUT_MS, signal });
  try {
    const answer = (await client.execute('query-status')) as { status?: unknown } | null | undefined;
    return answer?.status;
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
