// What a unit's launcher is told by its ExecStartPre=: lines of text, never a secret.
import type { Definition } from '../../definition/definition.js';
import { VmsecretdError } from '../../errors.js';
import { isListened } from '../../hypervisor/host-needs.js';
import type { VmPlan } from '../../hypervisor/hypervisor.js';

export interface LaunchFile {
  /** The run of the unit that it is for. */
  invocationId: string;
  definition: Definition;
  /** The VMM's absolute path. */
  program: string;
  /** Undefined where the launcher brings the command line. */
  plan: VmPlan | undefined;
  /** Where a vsock port of the host is to lead. */
  channels: readonly { port: number; socket: string }[];
}

/**
 * `invocation ID`; `exec PROGRAM`; an `arg` line for each argument; a `target` and a `link` line for each link to leave; `free` for each socket on
 * which the VMM is to listen: one that a killed VMM left is removed; `channel PORT SOCKET` where a
 * launcher that brings a command line has to find the guest's vsock in it; `stop-timeout`, the seconds that --stop waits for the
 * guest; `end`.
 * @throws VmsecretdError command_invalid: an argument has a line break
 */
export function writeLaunchFile({ invocationId, definition, program, plan, channels }: LaunchFile): string {
  const lines: [key: string, value: string][] = [
    ['invocation', invocationId],
    ['exec', program],
    ...(plan?.arguments ?? []).map((value): [string, string] => ['arg', value]),
    ...(plan?.links ?? []).flatMap(({ path, target }): [string, string][] => [
      ['target', target],
      ['link', path],
    ]),
    ...(plan?.needs.claims ?? []).filter(isListened).map(({ value }): [string, string] => ['free', value]),
    ...channels.map(({ port, socket }): [string, string] => ['channel', `${port} ${socket}`]),
    ['stop-timeout', String(definition.stopTimeoutSeconds)],
    ...(plan === undefined ? [['needs-command', ''] as [string, string]] : []),
  ];
  for (const [, value] of lines) if (value.includes('\n')) throw lineBreak(definition.name, value);
  return `${lines.map(([key, value]) => `${key} ${value}`).join('\n')}\nend\n`;
}

function lineBreak(vm: string, value: string): VmsecretdError {
  return new VmsecretdError(
    'command_invalid',
    `VM ${vm}: ${JSON.stringify(value.slice(0, 60))} has a line break, which the launcher cannot pass on; remove it`,
    { details: { vm } },
  );
}
