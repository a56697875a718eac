// What a start of a cloud-hypervisor VM will do: its VM config, its console, its limits; without a secret, and nothing is touched.
import { resolve } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { checkOemStrings, credentialNames } from '../../definition/oem-strings.js';
import { VmsecretdError } from '../../errors.js';
import { fifoPath } from '../fifos.js';
import {
  type CommandView,
  type ConsolePlan,
  GUEST_PORTS,
  type GuestChannelPlans,
  type Packing,
  type PlanContext,
  type VmPlan,
} from '../hypervisor.js';
import { becomeCommandFrom } from '../whole-command.js';
import { writeVmConfig } from './create-body.js';
import { type ConvertedCommand, convertCommand } from './from-command.js';
import { notifyStrings, planGuestChannels, vsockPortPath } from './guest-channels.js';
import { vmConfigNeeds } from './host-needs.js';
import { requireImageTypes } from './image-types.js';
import { type ProgramOptions, programArguments } from './program-options.js';
import { MAIN_AFTER_53, nameFirst, nameRelease, type Release } from './release.js';
import { mergeOemStrings, setOption } from './to-command.js';
import { readRelease } from './version.js';
import type { ConsoleConfig, VmConfig } from './vm-config.js';

/** What the VMM's HTTP server takes. */
const CREATE_BODY_BYTES = { upTo53: 51_200, later: 4 * 1024 * 1024 };
/** Before, OEM strings are dropped without a word on other architectures than x86_64. */
const SMBIOS_ON_ARM_SINCE: Release = 54_00;
/** Before, the VMM keeps nothing that its client has no room for: it waits, and its guest with it. */
const OUTPUT_KEPT_SINCE: Release = 53_00;
const VIRTIO_SOCKET_SINCE: Release = 54_00;

/** @throws VmsecretdError command_invalid, definition_invalid, needs_file_descriptors, architecture_unsupported, and what checkOemStrings throws */
export async function planVm(program: string, definition: Definition, context: PlanContext): Promise<VmPlan> {
  const vm = definition.name;
  const { paths } = context;
  const release = await readRelease(program);
  const converted = convertDefinition(definition, context, release);
  requireImageTypes(converted.vmConfig, release);
  const { vmConfig, console } = arrangeConsole(converted.vmConfig, context, definition.delivery, release);
  const given = [...(vmConfig.platform?.oem_strings ?? []), ...definition.oemStrings];
  const channels = planGuestChannels(definition, vmConfig, given, context);
  const added = [...definition.oemStrings, ...notifyStrings(channels, given, definition.credentials)];
  const staticOemStrings = [...(vmConfig.platform?.oem_strings ?? []), ...added];
  const credentials = credentialNames(definition);
  checkOemStrings(vm, staticOemStrings, credentials);
  if (staticOemStrings.length + credentials.length > 0) checkArchitecture(vm, vmConfig, release);
  const config = withOemStrings(vmConfig, staticOemStrings);
  const shared = {
    hypervisor: 'cloud-hypervisor' as const,
    vm,
    program,
    staticOemStrings,
    apiSocket: paths.apiSocket,
    bootsAfter: converted.fileDescriptorNets.length > 0 ? [paths.netsAdded] : [],
    links: planLinks(converted, context, channels),
    console,
    // A socket of ours for the console is made free with the VM's own folder.
    needs: vmConfigNeeds(converted.vmConfig),
    channels,
  };
  const commandLine =
    definition.delivery === 'cmdline'
      ? wholeCommandLine(program, definition, context, { vmConfig, oemStrings: added, release })
      : ownOptions(program, converted, context, packingOf(config, release));
  const argv = context.command ?? definition.command;
  const view = (placeholders: readonly string[]): CommandView => ({
    // A VM config is no command line: the program is started with its own options, and gets the VM by its API.
    command: [
      program,
      ...(argv === undefined
        ? commandLine.arguments
        : mergeOemStrings(argv, [...added, ...placeholders], release)),
    ],
    vmConfig: withOemStrings(vmConfig, [...staticOemStrings, ...placeholders]),
    arguments: commandLine.arguments,
  });
  return { ...shared, ...commandLine, view };
}

function withOemStrings(vmConfig: VmConfig, oemStrings: string[]): VmConfig {
  if (oemStrings.length === 0) return vmConfig;
  return { ...vmConfig, platform: { ...vmConfig.platform, oem_strings: oemStrings } };
}

type CommandLine = Pick<VmPlan, 'arguments' | 'spawned' | 'waitsForVm' | 'fifos' | 'packing'>;

/** The program with its own options: the VM comes by its API. */
function ownOptions(
  program: string,
  converted: ConvertedCommand,
  context: PlanContext,
  packing: Packing,
): CommandLine {
  const argv = programArguments(withApiSocket(converted.program, context));
  return { arguments: argv, spawned: [program, ...argv], waitsForVm: true, fifos: [], packing };
}

/** The VM on the command line itself, from where it boots at once. */
function wholeCommandLine(
  program: string,
  { command = [] }: Definition,
  { paths }: PlanContext,
  { vmConfig, oemStrings, release }: { vmConfig: VmConfig; oemStrings: readonly string[]; release: Release },
): CommandLine {
  let argv = setOption(mergeOemStrings(command, [], release), '--api-socket', `path=${paths.apiSocket}`);
  for (const device of ['serial', 'console'] as const) {
    if (vmConfig[device]?.file === paths.consoleLog)
      argv = setOption(argv, `--${device}`, `file=${paths.consoleLog}`);
  }
  const fifo = fifoPath(paths.fifos, 0);
  return {
    arguments: argv,
    // A command line with secrets in it comes through a FIFO to a shell, which becomes the VMM: the daemon never has it.
    spawned: becomeCommandFrom(fifo),
    waitsForVm: false,
    fifos: [fifo],
    packing: { kind: 'cmdline', program, argv, oemStrings: [...oemStrings], release },
  };
}

/** A unit's launcher passes the socket that systemd made. */
function withApiSocket(
  { apiSocket: _, ...program }: ProgramOptions,
  { paths, ownsConsole }: PlanContext,
): ProgramOptions {
  return ownsConsole ? { ...program, apiSocket: paths.apiSocket } : program;
}

/** In a unit, where other programs and the guest look for the sockets that are elsewhere. */
function planLinks(
  { program: { apiSocket }, vmConfig: { vsock } }: ConvertedCommand,
  { paths, ownsConsole, workingDirectory }: PlanContext,
  channels: GuestChannelPlans,
): VmPlan['links'] {
  if (ownsConsole) return [];
  const api =
    apiSocket === undefined ? [] : [{ path: resolve(workingDirectory, apiSocket), target: paths.apiSocket }];
  const guest = (['receipt', 'credentials', 'refresh'] as const).flatMap(channel => {
    const plan = channels[channel];
    if (plan === undefined || vsock === undefined) return [];
    return [{ path: vsockPortPath(vsock.socket, GUEST_PORTS[channel], workingDirectory), target: plan.path }];
  });
  return [...api, ...guest].filter(({ path, target }) => path !== target);
}

function convertDefinition(definition: Definition, context: PlanContext, release: Release): ConvertedCommand {
  const { name: vm } = definition;
  const argv = context.command ?? definition.command;
  if (argv === undefined) return fromVmConfig(definition);
  const converted = convertCommand(argv, release);
  if (Object.keys(definition.credentials).length > 0 && converted.program.verbosity > 0) {
    throw new VmsecretdError(
      'command_invalid',
      `VM ${vm}: -v makes cloud-hypervisor log its whole configuration, secrets included; take it off the command line`,
      { details: { vm, flag: '-v' } },
    );
  }
  // A launcher can hold a network device open until the VM is there; nobody holds anything else.
  const needed = converted.needsFileDescriptors.filter(flag => context.ownsConsole || flag !== '--net');
  const descriptors = [...needed, ...converted.program.inheritedDescriptors];
  if (descriptors.length > 0) {
    throw new VmsecretdError(
      'needs_file_descriptors',
      `VM ${vm}: ${descriptors.join(' and ')} pass open file descriptors, which do not survive the API; name the tap device or the path instead`,
      { details: { vm, flags: descriptors } },
    );
  }
  return converted;
}

function fromVmConfig({ name: vm, vmConfig, path }: Definition): ConvertedCommand {
  if (vmConfig === undefined) {
    throw new VmsecretdError(
      'definition_invalid',
      `VM ${vm}: ${path} has neither command nor vmConfig, so only the launcher of its unit can start it`,
      { details: { vm, path } },
    );
  }
  const config = vmConfig as VmConfig;
  for (const key of ['serial', 'console'] as const) {
    if (config[key]?.mode !== 'Socket' || typeof config[key].socket === 'string') continue;
    throw new VmsecretdError(
      'definition_invalid',
      `VM ${vm}: vmConfig.${key} has mode Socket and no socket, which ends cloud-hypervisor v53`,
      {
        details: { vm, path },
      },
    );
  }
  return {
    vmConfig: config,
    program: { noShutdown: false, verbosity: 0, inheritedDescriptors: [] },
    needsFileDescriptors: [],
    fileDescriptorNets: [],
  };
}

/**
 * A terminal of the VMM's becomes a socket of ours, so that the console outlives this daemon: the VMM has no terminal,
 * and a pipe would break with its reader. The serial port comes first: one console is shown. The virtio console has a socket
 * from 54.0 on; before, it prints into a file, and takes no input.
 * A VM that boots at once would print before anybody is connected: its terminal becomes a file.
 */
function arrangeConsole(
  vmConfig: VmConfig,
  context: PlanContext,
  delivery: Definition['delivery'],
  release: Release,
): { vmConfig: VmConfig; console: ConsolePlan | undefined } {
  if (!context.ownsConsole) return { vmConfig, console: undefined };
  const { consoleSocket, consoleLog } = context.paths;
  const { serial, console: virtio = { mode: 'Tty' } } = vmConfig;
  const isSerial = serial?.mode === 'Tty';
  if (!isSerial && virtio.mode !== 'Tty') return { vmConfig, console: undefined };
  const quiet: VmConfig =
    isSerial && virtio.mode === 'Tty' ? { ...vmConfig, console: { ...virtio, mode: 'Null' } } : vmConfig;
  const [device, config]: ['serial' | 'console', ConsoleConfig] = isSerial
    ? ['serial', serial]
    : ['console', virtio];
  const hasSocket = delivery !== 'cmdline' && (isSerial || release >= VIRTIO_SOCKET_SINCE);
  if (!hasSocket) {
    const file: VmConfig = { ...quiet, [device]: { ...config, mode: 'File', file: consoleLog } };
    return { vmConfig: file, console: { kind: 'log', path: consoleLog } };
  }
  const socket: VmConfig = { ...quiet, [device]: { ...config, mode: 'Socket', socket: consoleSocket } };
  const keepsOutput = release >= OUTPUT_KEPT_SINCE;
  return { vmConfig: socket, console: { kind: 'socket', path: consoleSocket, keepsOutput } };
}

/** There the table is for EDK2, which a kernel that is booted by itself never sees. */
function checkArchitecture(vm: string, { payload }: VmConfig, release: Release): void {
  if (process.arch === 'x64') return;
  const since = nameFirst(SMBIOS_ON_ARM_SINCE);
  if (release < SMBIOS_ON_ARM_SINCE) {
    throw new VmsecretdError(
      'architecture_unsupported',
      `VM ${vm}: cloud-hypervisor ${nameRelease(release)} silently drops OEM strings on ${process.arch}; install ${since} or later and boot with --firmware, or use x86_64`,
      { details: { vm, architecture: process.arch } },
    );
  }
  if (typeof payload?.firmware === 'string' && payload.kernel == null) return;
  throw new VmsecretdError(
    'architecture_unsupported',
    `VM ${vm}: on ${process.arch} the guest gets its OEM strings from UEFI firmware only; boot with --firmware (EDK2) in place of --kernel`,
    { details: { vm, architecture: process.arch } },
  );
}

function packingOf(config: VmConfig, release: Release): Packing {
  const limitBytes = release < MAIN_AFTER_53 ? CREATE_BODY_BYTES.upTo53 : CREATE_BODY_BYTES.later;
  return { kind: 'api', vmConfigText: writeVmConfig(config), limitBytes };
}
