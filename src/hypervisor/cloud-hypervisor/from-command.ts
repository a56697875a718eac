// A complete cloud-hypervisor command line, converted to the VM config that it means to a release, and the program's own
// options. Only what the command line says is in the result: the VMM fills in its own defaults.

import { commandInvalid } from '../../definition/command-error.js';
import type { JsonObject } from '../exact-json.js';
import { FLAGS, type Flag } from './flags/flags.js';
import { memory as memoryTable, ZONES_MERGEABLE_SINCE } from './flags/memory.js';
import { convertOption } from './option-table.js';
import { newReading, type Reading } from './option-values.js';
import { type ProgramOptions, readProgramOptions } from './program-options.js';
import { type ReadArguments, readArguments } from './read-arguments.js';
import { REFERENCE_RELEASE, type Release } from './release.js';
import type { VmConfig } from './vm-config.js';

export interface ConvertedCommand {
  readonly vmConfig: VmConfig;
  readonly program: ProgramOptions;
  /** The VM's options that pass open file descriptors, which JSON cannot: mostly empty. */
  readonly needsFileDescriptors: readonly string[];
  /** The `--net fd=…` values, as given: those devices are not in `vmConfig`, `add-net` adds them. */
  readonly fileDescriptorNets: readonly { readonly value: string }[];
}

/**
 * `argv` is without the program's name, or begins with its path, which is dropped.
 *
 * @param release of the program that will run; what it does not know is refused, since its `vm.create` would drop it
 * @throws VmsecretdError `command_invalid`, naming the option, the key and what would be right
 */
export function convertCommand(
  argv: readonly string[],
  release: Release = REFERENCE_RELEASE,
): ConvertedCommand {
  const args = readArguments(argv, release);
  requirePayload(args);
  const program = readProgramOptions(args, release);
  const vmConfig: VmConfig = {};
  const reading = newReading(release);
  for (const [name, flag] of FLAGS) {
    const values = args.given.get(name);
    if (values === undefined || flag.field === undefined) continue;
    if (flag.part === 'payload') vmConfig.payload = { ...vmConfig.payload, [flag.field]: values[0] };
    else vmConfig[flag.field] = convertFlag(name, flag, values, reading);
  }
  joinMemoryZones(vmConfig, reading);
  return { vmConfig, program, ...takeFileDescriptors(vmConfig, args) };
}

function requirePayload({ given }: ReadArguments): void {
  if (given.has('--kernel') || given.has('--firmware')) return;
  const restores = given.has('--restore');
  throw commandInvalid(
    restores
      ? '--restore starts a VM from a snapshot, which already holds its OEM strings; vmsecretd starts VMs from --kernel or --firmware.'
      : 'There is nothing to boot: --kernel or --firmware is missing.',
    { flag: restores ? '--restore' : '--kernel' },
  );
}

function convertFlag(
  name: string,
  flag: Flag,
  values: readonly string[],
  reading: Reading,
): JsonObject | JsonObject[] | true {
  const { table } = flag;
  if (table === undefined) return true;
  if (flag.arity === 'many') return values.map(value => convertOption(name, value, table, reading));
  return convertOption(name, values[0] ?? '', table, reading);
}

/** A zone without `mergeable` has the memory's; `size` is a field that the memory must have. */
function joinMemoryZones(vmConfig: VmConfig, reading: Reading): void {
  const { zones, ...rest } = vmConfig;
  if (zones === undefined) return;
  const memory = (rest.memory ?? convertOption('--memory', '', memoryTable, reading)) as JsonObject;
  const inherits = memory.mergeable === true && reading.release >= ZONES_MERGEABLE_SINCE;
  const inherited = inherits ? { mergeable: true } : {};
  delete vmConfig.zones;
  vmConfig.memory = { ...memory, zones: (zones as JsonObject[]).map(zone => ({ ...inherited, ...zone })) };
}

/** Takes out of the VM config what it cannot carry. */
function takeFileDescriptors(
  vmConfig: VmConfig,
  { given }: ReadArguments,
): Pick<ConvertedCommand, 'needsFileDescriptors' | 'fileDescriptorNets'> {
  const flags = new Set<string>();
  const nets = (given.get('--net') ?? []).map((value, index) => ({
    value,
    config: vmConfig.net?.[index] ?? {},
  }));
  const passed = nets.filter(net => net.config.fds !== undefined);
  if (passed.length > 0) {
    flags.add('--net');
    const others = nets.filter(net => net.config.fds === undefined).map(net => net.config);
    if (others.length > 0) vmConfig.net = others;
    else delete vmConfig.net;
  }
  if (vmConfig.platform?.iommufd_fd !== undefined) {
    flags.add('--platform');
    delete vmConfig.platform.iommufd_fd;
  }
  for (const device of (vmConfig.devices ?? []) as JsonObject[]) {
    if (device.fd === undefined) continue;
    flags.add('--device');
    delete device.fd;
  }
  return { needsFileDescriptors: [...flags], fileDescriptorNets: passed.map(({ value }) => ({ value })) };
}
