// What a start of a cloud-hypervisor VM will do: its VM config, its console, its limits; without a secret, and nothing is touched.
import { resolve } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { checkOemStrings, credentialNames } from '../../definition/oem-strings.js';
import { VmsecretdError } from '../../errors.js';
import { fifoPaths } from '../fifos.js';
import type { ConsolePlan, GuestChannelPlans, Packing, PlanContext, VmPlan } from '../hypervisor.js';
import { writeVmConfig } from './create-body.js';
import { type ConvertedCommand, convertCommand } from './from-command.js';
import { notifyStrings, planGuestChannels, RECEIPT_PORT, vsockPortPath } from './guest-channels.js';
import { vmConfigNeeds } from './host-needs.js';
import { type ProgramOptions, programArguments } from './program-options.js';
import { mergeOemStrings, setOption } from './to-command.js';
import { readMajorVersion } from './version.js';
import type { VmConfig } from './vm-config.js';

/** micro_http's limit up to v53; 4 MiB after (cloud-hypervisor commit 247fa0c1a). */
const CREATE_BODY_BYTES = { upTo53: 51_200, later: 4 * 1024 * 1024 };
/** Up to v53 OEM strings are dropped without a word on other architectures than x86_64. */
const LAST_X86_64_ONLY_VERSION = 53;

/** @throws VmsecretdError command_invalid, definition_invalid, needs_file_descriptors, architecture_unsupported, and what checkOemStrings throws */
export async function planVm(program: string, definition: Definition, context: PlanContext): Promise<VmPlan> {
  const vm = definition.name;
  const { paths } = context;
  const converted = convertDefinition(definition, context);
  const { vmConfig, console } = arrangeConsole(converted.vmConfig, context, definition.delivery);
  const channels = planGuestChannels(definition, vmConfig, context);
  const staticOemStrings = [
    ...(vmConfig.platform?.oem_strings ?? []),
    ...definition.oemStrings,
    ...notifyStrings(channels, [...(vmConfig.platform?.oem_strings ?? []), ...definition.oemStrings]),
  ];
  const credentials = credentialNames(definition);
  checkOemStrings(vm, staticOemStrings, credentials);
  const version = await readMajorVersion(program);
  if (staticOemStrings.length + credentials.length > 0) checkArchitecture(vm, version);
  const config: VmConfig =
    staticOemStrings.length === 0
      ? vmConfig
      : { ...vmConfig, platform: { ...vmConfig.platform, oem_strings: staticOemStrings } };
  const shared = {
    hypervisor: 'cloud-hypervisor' as const,
    vm,
    program,
    staticOemStrings,
    apiSocket: paths.apiSocket,
    inheritedNets: converted.fileDescriptorNets.map(({ value }) => value),
    links: planLinks(converted, context, channels),
    console,
    // A socket of ours for the console is made free with the VM's own folder.
    needs: vmConfigNeeds(converted.vmConfig),
    channels,
    vmConfig: config,
  };
  if (definition.delivery === 'cmdline')
    return { ...shared, ...wholeCommandLine(program, definition, context) };
  return {
    ...shared,
    arguments: programArguments(withApiSocket(converted.program, context)),
    fifos: [],
    packing: packingOf(config, version),
  };
}

/** The VM on the command line itself, from where it boots at once. */
function wholeCommandLine(
  program: string,
  { command = [], oemStrings }: Definition,
  { paths }: PlanContext,
): Pick<VmPlan, 'arguments' | 'fifos' | 'packing'> {
  const { serial } = convertCommand(command).vmConfig;
  const withSocket = setOption(mergeOemStrings(command, []), '--api-socket', `path=${paths.apiSocket}`);
  const argv =
    serial?.mode === 'Tty' ? setOption(withSocket, '--serial', `file=${paths.consoleLog}`) : withSocket;
  return {
    arguments: argv,
    fifos: fifoPaths(paths.directory, 1),
    packing: { kind: 'cmdline', program, argv, oemStrings: [...oemStrings] },
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
  { receipt }: GuestChannelPlans,
): VmPlan['links'] {
  if (ownsConsole) return [];
  const api =
    apiSocket === undefined ? [] : [{ path: resolve(workingDirectory, apiSocket), target: paths.apiSocket }];
  const report =
    receipt === undefined || vsock === undefined
      ? []
      : [{ path: vsockPortPath(vsock.socket, RECEIPT_PORT, workingDirectory), target: receipt.path }];
  return [...api, ...report].filter(({ path, target }) => path !== target);
}

function convertDefinition(definition: Definition, context: PlanContext): ConvertedCommand {
  const { name: vm } = definition;
  const argv = context.command ?? definition.command;
  if (argv === undefined) return fromVmConfig(definition);
  const converted = convertCommand(argv);
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
 * and a pipe would break with its reader. The virtio console has no socket mode, so its output goes nowhere.
 * A VM that boots at once would print before anybody is connected: its terminal becomes a file.
 */
function arrangeConsole(
  vmConfig: VmConfig,
  context: PlanContext,
  delivery: Definition['delivery'],
): { vmConfig: VmConfig; console: ConsolePlan | undefined } {
  if (!context.ownsConsole) return { vmConfig, console: undefined };
  const { consoleSocket, consoleLog } = context.paths;
  const console = vmConfig.console ?? { mode: 'Tty' };
  const quiet: VmConfig =
    console.mode === 'Tty' ? { ...vmConfig, console: { ...console, mode: 'Null' } } : vmConfig;
  const { serial } = quiet;
  if (serial?.mode !== 'Tty') return { vmConfig: quiet, console: undefined };
  if (delivery === 'cmdline') {
    const file: VmConfig = { ...quiet, serial: { ...serial, mode: 'File', file: consoleLog } };
    return { vmConfig: file, console: { kind: 'log', path: consoleLog } };
  }
  const socket: VmConfig = { ...quiet, serial: { ...serial, mode: 'Socket', socket: consoleSocket } };
  return { vmConfig: socket, console: { kind: 'socket', path: consoleSocket } };
}

function checkArchitecture(vm: string, version: number): void {
  if (process.arch === 'x64' || version > LAST_X86_64_ONLY_VERSION) return;
  throw new VmsecretdError(
    'architecture_unsupported',
    `VM ${vm}: cloud-hypervisor up to v${LAST_X86_64_ONLY_VERSION} silently drops OEM strings on ${process.arch}; they arrive on x86_64 only`,
    { details: { vm, architecture: process.arch } },
  );
}

function packingOf(config: VmConfig, version: number): Packing {
  const limitBytes = version > LAST_X86_64_ONLY_VERSION ? CREATE_BODY_BYTES.later : CREATE_BODY_BYTES.upTo53;
  return { kind: 'api', vmConfigText: writeVmConfig(config), limitBytes };
}
