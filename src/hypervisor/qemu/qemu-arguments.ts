// Takes a definition's qemu-system command line and gives the one to run: the console, QMP and OEM strings added. It holds
// no secret, only the paths of FIFOs. Refuses what would take the VM out of the daemon's hands or hide an OEM string.

import { VmsecretdError } from '../../errors.js';
import {
  escapeQemuValue,
  joinQemuOptions,
  parseQemuValue,
  type QemuOption,
  splitQemuCommand,
} from './command-line.js';

export interface QemuEndpoints {
  /** One FIFO a secret OEM string, in the order of the strings; QEMU reads them one after the other as it starts. */
  readonly fifoPaths: readonly string[];
  /** OEM strings that are no secrets: they stand on QEMU's command line. */
  readonly oemStrings: readonly string[];
  readonly qmpSocketPath: string;
  /** Whoever connects here is on the serial console; QEMU itself writes all of it to `consoleLogPath`. */
  readonly consoleSocketPath: string;
  readonly consoleLogPath: string;
  /** Virtio-serial ports on which the guest reports. */
  readonly ports?: readonly { readonly name: string; readonly socketPath: string }[];
}

/** What to do about options that vmsecretd cannot work with. */
const REFUSED_OPTIONS: Readonly<Record<string, string>> = {
  '-daemonize': 'vmsecretd supervises QEMU itself; leave it out.',
  '-S': 'vmsecretd starts the guest at once; leave it out, and pause the VM once it runs.',
  '-preconfig': 'vmsecretd starts the guest at once; leave it out.',
  '-incoming': 'a migrated guest brings its old OEM strings along; start the VM afresh.',
  '-loadvm': 'a restored guest brings its old OEM strings along; start the VM afresh.',
  '-readconfig': 'vmsecretd cannot see what such a file sets; write its options on the command line.',
};

export function qemuArguments(argv: readonly string[], endpoints: QemuEndpoints): string[] {
  const options = splitQemuCommand(argv);
  for (const option of options) refuseOption(option);
  const console = `path=${escapeQemuValue(endpoints.consoleSocketPath)},server=on,wait=off`;
  const log = `logfile=${escapeQemuValue(endpoints.consoleLogPath)}`;
  const strings = [
    ...endpoints.oemStrings.map(string => `type=11,value=${escapeQemuValue(string)}`),
    ...endpoints.fifoPaths.map(path => `type=11,path=${escapeQemuValue(path)}`),
  ];
  if (strings.length > 0) refuseMachineWithoutSmbios(options);
  return [
    ...joinQemuOptions(withSmbiosEntryPoint(withoutTerminal(options))),
    '-no-user-config',
    ...(options.some(option => option.name === '-display') ? [] : ['-display', 'none']),
    ...['-chardev', `socket,id=vmsecretd-console,${console},${log}`, '-serial', 'chardev:vmsecretd-console'],
    ...['-qmp', `unix:${escapeQemuValue(endpoints.qmpSocketPath)},server=on,wait=off`],
    ...portArguments(endpoints.ports ?? []),
    ...strings.flatMap(value => ['-smbios', value]),
  ];
}

function portArguments(ports: NonNullable<QemuEndpoints['ports']>): string[] {
  if (ports.length === 0) return [];
  return [
    ...['-device', 'virtio-serial-pci,id=vmsecretd-ports'],
    ...ports.flatMap(({ name, socketPath }, index) => [
      ...[
        '-chardev',
        `socket,id=vmsecretd-port${index},path=${escapeQemuValue(socketPath)},server=on,wait=off`,
      ],
      ...['-device', `virtserialport,bus=vmsecretd-ports.0,chardev=vmsecretd-port${index},name=${name}`],
    ]),
  ];
}

/** The OEM strings that the command line itself carries, in its order; throws as `qemuArguments` does for `-smbios`. */
export function staticOemStrings(argv: readonly string[]): string[] {
  return splitQemuCommand(argv).flatMap(option => {
    if (option.name !== '-smbios') return [];
    refuseOption(option);
    const pairs = parseQemuValue(option.value ?? '');
    if (!pairs.some(pair => pair.key === 'type' && parseCInteger(pair.value) === 11)) return [];
    return pairs.filter(pair => pair.key === 'value').map(pair => pair.value);
  });
}

function refuseOption({ name, value = '' }: QemuOption): void {
  if (name === undefined) return;
  const reason = REFUSED_OPTIONS[name];
  if (reason !== undefined) throw refused(name, reason);
  const pairs = parseQemuValue(value);
  if (name === '-smbios' && pairs.some(pair => pair.key === 'path' || pair.key === 'file')) {
    throw refused(
      `${name} ${value}`,
      'declare that file as a credential, {"file": "PATH"}, or give value=TEXT.',
    );
  }
  if (name === '-fw_cfg' && pairs.some(pair => pair.value.startsWith('opt/io.systemd.credentials/'))) {
    throw refused(
      '-fw_cfg opt/io.systemd.credentials/…',
      'declare it under "credentials" of the definition.',
    );
  }
  if ((name === '-monitor' || name === '-qmp' || name === '-qmp-pretty') && value.includes('stdio')) {
    throw refused(`${name} ${value}`, 'QEMU has no terminal here; leave it out or give a socket.');
  }
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
  if (machinePairs(options).some(pair => pair.key === 'smbios-entry-point-type')) return [...options];
  const entryPoint = 'smbios-entry-point-type=64';
  return options.map((option, at) =>
    at === last ? { ...option, value: `${option.value},${entryPoint}` } : option,
  );
}

function refuseMachineWithoutSmbios(options: readonly QemuOption[]): void {
  const type = machinePairs(options).findLast(pair => pair.key === 'type')?.value;
  if (type !== 'microvm') return;
  throw refused('-machine microvm', 'it has no SMBIOS table for the credentials; use -machine q35.');
}

function machinePairs(options: readonly QemuOption[]) {
  return options.filter(isMachine).flatMap(option => parseQemuValue(option.value ?? '', 'type'));
}

function isMachine(option: QemuOption): boolean {
  return option.name === '-machine' || option.name === '-M';
}

/** QEMU reads numbers as C does: 11, 0xb and 013 are the same type. */
function parseCInteger(text: string): number {
  return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

function refused(what: string, whatToDo: string): VmsecretdError {
  return new VmsecretdError('command_invalid', `QEMU's ${what} cannot be used: ${whatToDo}`);
}
