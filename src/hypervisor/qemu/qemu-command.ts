// What a qemu-system command line says of OEM strings and credentials, and whether vmsecretd can run it. Refuses what would
// take the VM out of the daemon's hands or hide an OEM string.

import { credentialNameOf } from '../../definition/oem-strings.js';
import { VmsecretdError } from '../../errors.js';
import { parseQemuValue, type QemuOption, splitQemuCommand } from './command-line.js';

export interface QemuCommand {
  readonly options: readonly QemuOption[];
  /** Its own SMBIOS type 11 strings, in its order. */
  readonly oemStrings: readonly string[];
  /** Names of the credentials that it brings by fw_cfg, as `microvm.credentialFiles` does. */
  readonly fwCfgCredentials: readonly string[];
}

/** What to do about options that vmsecretd cannot work with. */
const REFUSED_OPTIONS: Readonly<Record<string, string>> = {
  '-daemonize': 'vmsecretd supervises QEMU itself; leave it out.',
  '-S': 'vmsecretd starts the guest once it has its credentials; leave it out, and pause the VM once it runs.',
  '-preconfig': 'vmsecretd starts the guest at once; leave it out.',
  '-incoming': 'a migrated guest brings its old OEM strings along; start the VM afresh.',
  '-loadvm': 'a restored guest brings its old OEM strings along; start the VM afresh.',
  '-readconfig': 'vmsecretd cannot see what such a file sets; write its options on the command line.',
};

/** Machines of x86_64 that are known to build SMBIOS tables: q35 and i440fx, under every name of QEMU's and of distributions. */
const WITH_SMBIOS = /^(q35|pc|pc-(q35|i440fx)-.+|ubuntu|ubuntu-q35)$/;

/** Objects that encrypt the guest's memory. */
const CONFIDENTIAL_OBJECT = /^(sev-guest|sev-snp-guest|tdx-guest)$/;

const FW_CFG_CREDENTIAL = 'opt/io.systemd.credentials/';

const TERMINAL_OPTIONS = new Set(['-monitor', '-qmp', '-qmp-pretty']);

/** Where systemd makes the sockets of units. */
const UNIT_SOCKET = /\/vmsecretd\/api\//;

/**
 * @param addsOemStrings whether a definition adds OEM strings to those of the command line
 * @throws VmsecretdError command_invalid
 */
export function readQemuCommand(argv: readonly string[], addsOemStrings: boolean): QemuCommand {
  const options = splitQemuCommand(argv);
  for (const option of options) refuseOption(option);
  const oemStrings = options.flatMap(ownOemStrings);
  if (addsOemStrings || oemStrings.length > 0) {
    refuseMachineWithoutSmbios(options);
    refuseConfidentialGuest(options);
  }
  return { options, oemStrings, fwCfgCredentials: options.flatMap(fwCfgCredential) };
}

/**
 * Of two credentials of one name systemd takes the one of fw_cfg, and drops the other silently.
 * @param others OEM strings, and names of credentials
 * @throws VmsecretdError credential_duplicate
 */
export function checkFwCfgCredentials(
  vm: string,
  { fwCfgCredentials }: QemuCommand,
  others: readonly string[],
): void {
  const names = new Set(others.map(other => credentialNameOf(other) ?? other));
  const credential = fwCfgCredentials.find(name => names.has(name));
  if (credential === undefined) return;
  throw new VmsecretdError(
    'credential_duplicate',
    `VM ${vm}: credential ${credential} is there twice, by -fw_cfg too, and the guest would silently take that one; take it off the command line (microvm.credentialFiles) or rename it`,
    { details: { vm, credential } },
  );
}

export function machinePairs(options: readonly QemuOption[]) {
  return options.filter(isMachine).flatMap(option => parseQemuValue(option.value ?? '', 'type'));
}

/** Where no machine is named it is QEMU's default, which has SMBIOS on x86_64. */
export function hasSmbios(options: readonly QemuOption[]): boolean {
  const type = machineType(options);
  return type === undefined || WITH_SMBIOS.test(type);
}

function machineType(options: readonly QemuOption[]): string | undefined {
  return machinePairs(options).findLast(pair => pair.key === 'type')?.value;
}

export function isMachine(option: QemuOption): boolean {
  return option.name === '-machine' || option.name === '-M';
}

export function refused(what: string, whatToDo: string): VmsecretdError {
  return new VmsecretdError('command_invalid', `QEMU's ${what} cannot be used: ${whatToDo}`);
}

function ownOemStrings({ name, value = '' }: QemuOption): string[] {
  if (name !== '-smbios') return [];
  const pairs = parseQemuValue(value);
  if (!pairs.some(pair => pair.key === 'type' && parseCInteger(pair.value) === 11)) return [];
  return pairs.filter(pair => pair.key === 'value').map(pair => pair.value);
}

function fwCfgCredential({ name, value = '' }: QemuOption): string[] {
  if (name !== '-fw_cfg') return [];
  const file = parseQemuValue(value, 'name').find(pair => pair.key === 'name')?.value ?? '';
  return file.startsWith(FW_CFG_CREDENTIAL) ? [file.slice(FW_CFG_CREDENTIAL.length)] : [];
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
  const isTerminal = TERMINAL_OPTIONS.has(name);
  if (isTerminal && value.includes('stdio')) {
    throw refused(`${name} ${value}`, 'QEMU has no terminal here; leave it out or give a socket.');
  }
  const isSocket = isTerminal || (name === '-chardev' && value.startsWith('socket'));
  if (isSocket && (UNIT_SOCKET.test(value) || pairs.some(pair => pair.key === 'fd'))) {
    const what =
      'the control socket that systemd makes is vmsecretd’s own; leave it out, or give another path.';
    throw refused(`${name} ${value}`, what);
  }
}

function refuseMachineWithoutSmbios(options: readonly QemuOption[]): void {
  if (hasSmbios(options)) return;
  const what = `-machine ${machineType(options)}`;
  throw refused(what, 'it has no SMBIOS table for the credentials; use -machine q35.');
}

/** Its systemd takes what SMBIOS says for the host's, which such a guest does not trust, and imports nothing of it. */
function refuseConfidentialGuest(options: readonly QemuOption[]): void {
  const isOfMachine = machinePairs(options).some(
    ({ key }) => key === 'confidential-guest-support' || key === 'memory-encryption',
  );
  const object = options.find(({ name, value = '' }) => name === '-object' && isConfidentialObject(value));
  if (!isOfMachine && object === undefined) return;
  throw refused(
    object === undefined ? '-machine confidential-guest-support' : `-object ${object.value}`,
    'systemd in a confidential guest ignores the credentials of SMBIOS; leave it out, or bring secrets by attestation.',
  );
}

/** The type stands first, or is `qom-type` of JSON. */
function isConfidentialObject(value: string): boolean {
  const type = value.startsWith('{')
    ? /"qom-type"\s*:\s*"([^"]*)"/.exec(value)?.[1]
    : parseQemuValue(value, 'qom-type').find(pair => pair.key === 'qom-type')?.value;
  return type !== undefined && CONFIDENTIAL_OBJECT.test(type);
}

/** QEMU reads numbers as C does: 11, 0xb and 013 are the same type. */
function parseCInteger(text: string): number {
  return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
}
