// The qemu-system command line that is run: what a definition says, and console, control socket and OEM strings added. It holds
// no secret, only the paths of FIFOs.

import { escapeQemuValue, joinQemuOptions, parseQemuValue, type QemuOption } from './command-line.js';
import { hasSmbios, isMachine, machinePairs, type QemuCommand, refused } from './qemu-command.js';

export interface QemuStrings {
  /** One FIFO a secret OEM string, in the order of the strings; QEMU reads them one after the other as it starts. */
  readonly fifoPaths: readonly string[];
  /** OEM strings that are no secrets: they stand on QEMU's command line. */
  readonly oemStrings: readonly string[];
}

export interface QemuEndpoints extends QemuStrings {
  readonly qmpSocketPath: string;
  /** Whoever connects here is on the serial console; QEMU itself writes all of it to `consoleLogPath`. */
  readonly consoleSocketPath: string;
  readonly consoleLogPath: string;
  /** Virtio-serial ports of the guest's. */
  readonly ports?: readonly { readonly name: string; readonly socketPath: string }[];
}

/** Of a QEMU that is a child of the daemon's, which keeps its console. */
export function childArguments({ options }: QemuCommand, endpoints: QemuEndpoints): string[] {
  const { qmpSocketPath, consoleSocketPath, consoleLogPath, ports = [] } = endpoints;
  const kept = withoutTerminal(options);
  const log = `logfile=${escapeQemuValue(consoleLogPath)}`;
  return [
    ...joinQemuOptions(withSmbiosEntryPoint(kept)),
    ...withoutDisplay(kept),
    ...['-chardev', `socket,id=vmsecretd-console,${listeningOn(consoleSocketPath)},${log}`],
    ...['-serial', 'chardev:vmsecretd-console'],
    ...['-qmp', `unix:${escapeQemuValue(qmpSocketPath)},server=on,wait=off`],
    ...ports.flatMap(({ socketPath }, index) => [
      '-chardev',
      `socket,id=${portChardev(index)},${listeningOn(socketPath)}`,
    ]),
    ...portDevices(ports.map(({ name }) => name)),
    ...addedArguments(endpoints),
  ];
}

/** Of a QEMU that is the main process of a unit. A first serial port that it says nothing of is the unit's journal. */
export function unitArguments({ options }: QemuCommand): string[] {
  const hasSerial = options.some(({ name }) => name === '-serial' || name === '-nographic');
  return [
    ...joinQemuOptions(withSmbiosEntryPoint(options)),
    ...withoutDisplay(options),
    ...(hasSerial ? [] : ['-serial', 'stdio']),
  ];
}

/** For whichever command line: OEM strings, and a guest that waits for the daemon, which knows whether it has them all. */
export function addedArguments({ oemStrings, fifoPaths }: QemuStrings): string[] {
  const strings = [
    ...oemStrings.map(string => `type=11,value=${escapeQemuValue(string)}`),
    ...fifoPaths.map(path => `type=11,path=${escapeQemuValue(path)}`),
  ];
  return ['-no-user-config', '-S', ...strings.flatMap(value => ['-smbios', value])];
}

/** Of the port at `index` of `portDevices`. */
export function portChardev(index: number): string {
  return `vmsecretd-port${index}`;
}

/** @param names of the ports, as the guest finds them */
export function portDevices(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [
    ...['-device', 'virtio-serial-pci,id=vmsecretd-ports'],
    ...names.flatMap((name, index) => [
      '-device',
      `virtserialport,bus=vmsecretd-ports.0,chardev=${portChardev(index)},name=${name}`,
    ]),
  ];
}

function listeningOn(path: string): string {
  return `path=${escapeQemuValue(path)},server=on,wait=off`;
}

function withoutDisplay(options: readonly QemuOption[]): string[] {
  return options.some(({ name }) => name === '-display' || name === '-nographic') ? [] : ['-display', 'none'];
}

/** `-nographic` and a serial port on the terminal give way to our console; any other serial port would be the first. */
function withoutTerminal(options: readonly QemuOption[]): QemuOption[] {
  const terminals = new Set(['stdio', 'mon:stdio']);
  for (const { name, value = '' } of options) {
    if (name !== '-chardev') continue;
    const [backend, ...pairs] = parseQemuValue(value, 'backend');
    const id = pairs.find(pair => pair.key === 'id')?.value;
    if (backend?.value === 'stdio' && id !== undefined) terminals.add(`chardev:${id}`);
  }
  return options.filter(({ name, value = '' }) => {
    if (name !== '-serial') return name !== '-nographic';
    if (terminals.has(value)) return false;
    const reason = 'the first serial port is the console that vmsecretd keeps; leave it out, or use stdio.';
    throw refused(`-serial ${value}`, reason);
  });
}

/** With the 64-bit entry point the table may stand anywhere and be longer than 64 KiB; a user's own choice stays. */
function withSmbiosEntryPoint(options: readonly QemuOption[]): QemuOption[] {
  const last = options.findLastIndex(isMachine);
  if (last < 0) return [{ name: '-machine', value: 'q35,smbios-entry-point-type=64' }, ...options];
  const isChosen = machinePairs(options).some(pair => pair.key === 'smbios-entry-point-type');
  if (isChosen || !hasSmbios(options)) return [...options];
  const entryPoint = 'smbios-entry-point-type=64';
  return options.map((option, at) =>
    at === last ? { ...option, value: `${option.value},${entryPoint}` } : option,
  );
}
