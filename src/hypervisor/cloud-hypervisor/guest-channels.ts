// On which channel the guest of a VM reports, and how its systemd is told of it.
import { resolve } from 'node:path';
import type { Definition } from '../../definition/definition.js';
import { credentialNameOf } from '../../definition/oem-strings.js';
import { hasCredentialChannel } from '../../definition/on-demand.js';
import { VmsecretdError } from '../../errors.js';
import { GUEST_PORTS, type GuestChannelPlans, type PlanContext } from '../hypervisor.js';
import type { VmConfig } from './vm-config.js';

/** The vsock port that microvm.nix has for it. */
const NOTIFY_PORT = 8888;
const NOTIFY_CREDENTIAL = 'vmm.notify_socket';

/** Under a unit the notify socket is the unit's own: microvm.nix feeds systemd from it. */
export function planGuestChannels(
  definition: Definition,
  { vsock }: VmConfig,
  strings: readonly string[],
  { ownsConsole, paths, workingDirectory }: PlanContext,
): GuestChannelPlans {
  const { name: vm, ready, credentials } = definition;
  const asksOnDemand = hasCredentialChannel(definition);
  if (ready === 'boot' || (ready === 'notify' && !ownsConsole)) {
    if (!asksOnDemand) return {};
  }
  if (vsock === undefined) throw noVsock(definition);
  const pathOf = (port: number) => vsockPortPath(vsock.socket, port, workingDirectory);
  const channel = (port: number, path: string) => ({
    kind: 'vsock' as const,
    // A unit's own folders are not the daemon's to write to: its launcher leaves a link there.
    path: ownsConsole ? pathOf(port) : path,
  });
  return {
    ...(ready === 'notify' && ownsConsole
      ? { notify: { kind: 'vsock', path: pathOf(notifyPort(vm, strings, credentials)) } }
      : {}),
    ...(ready === 'receipt' ? { receipt: channel(GUEST_PORTS.receipt, paths.reportPort) } : {}),
    ...(asksOnDemand
      ? {
          credentials: channel(GUEST_PORTS.credentials, paths.credentialsPort),
          refresh: channel(GUEST_PORTS.refresh, paths.refreshPort),
        }
      : {}),
  };
}

function noVsock({ name: vm, ready, onChange }: Definition): VmsecretdError {
  const what =
    ready !== 'boot'
      ? `ready "${ready}"`
      : onChange === 'refresh'
        ? 'onChange "refresh"'
        : 'a credential with "onDemand"';
  return new VmsecretdError(
    'command_invalid',
    `VM ${vm}: ${what} needs a channel from the guest: add --vsock cid=3,socket=vsock.sock to the command line`,
    { details: { vm, flag: '--vsock' } },
  );
}

/** Where the VMM connects to when the guest connects to a port of its host. */
export function vsockPortPath(socket: string, port: number, workingDirectory: string): string {
  return `${resolve(workingDirectory, socket)}_${port}`;
}

/** Where the guest is told to notify already: in a string of the VM, or a text of its definition. */
function notifyPort(vm: string, strings: readonly string[], credentials: Definition['credentials']): number {
  const string = strings.find(candidate => credentialNameOf(candidate) === NOTIFY_CREDENTIAL);
  const given = string === undefined ? credentials[NOTIFY_CREDENTIAL]?.text : textOf(string);
  if (given === undefined) return NOTIFY_PORT;
  const [, port] = /^vsock(?:-stream)?:2:([1-9]\d{0,9})$/.exec(given.trim()) ?? [];
  if (port !== undefined && Number(port) < 2 ** 32) return Number(port);
  throw new VmsecretdError(
    'command_invalid',
    `VM ${vm}: ready "notify" cannot hear a guest whose ${NOTIFY_CREDENTIAL} is not vsock-stream:2:PORT; correct that OEM string, or leave it out`,
    { details: { vm, credential: NOTIFY_CREDENTIAL } },
  );
}

function textOf(oemString: string): string {
  const value = oemString.slice(oemString.indexOf('=') + 1);
  return oemString.startsWith('io.systemd.credential.binary:')
    ? Buffer.from(value, 'base64').toString('utf8')
    : value;
}

/** Tells the guest's systemd where to notify, unless somebody does. */
export function notifyStrings(
  { notify }: GuestChannelPlans,
  strings: readonly string[],
  credentials: Definition['credentials'],
): string[] {
  const isTold = strings.some(string => credentialNameOf(string) === NOTIFY_CREDENTIAL);
  if (notify === undefined || isTold || credentials[NOTIFY_CREDENTIAL] !== undefined) return [];
  return [`io.systemd.credential:${NOTIFY_CREDENTIAL}=vsock-stream:2:${NOTIFY_PORT}`];
}
