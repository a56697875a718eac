// What a unit's launcher is told by its ExecStartPre=: lines of text, never a secret.
import type { Definition } from '../../definition/definition.js';
import { VmsecretdError } from '../../errors.js';
import { isListened } from '../../hypervisor/host-needs.js';
import { GUEST_PORTS, type LaunchPlan, UNIT_PORTS, type VmPlan } from '../../hypervisor/hypervisor.js';

export interface LaunchFile {
  /** The run of the unit that it is for. */
  invocationId: string;
  definition: Definition;
  /** Undefined where the launcher brings the command line. */
  plan: VmPlan | undefined;
  launch: LaunchPlan;
}

type Line = [key: string, value: string];

/**
 * `invocation ID`; `hypervisor qemu` where it is QEMU; `exec PROGRAM`, unless only a launcher's own command line names it; an `arg` line for each
 * argument; `add`, or `add-socket N` with the descriptor of the Nth socket of systemd's behind it, for each argument after those of
 * any command line;
 * `fifo` for each FIFO that root makes, and `gate` for the one at which the launcher waits; a `target` and a `link` line for each
 * link to leave; `free` for each socket on which the VMM is to listen: one that a killed VMM left is removed; `channel PORT SOCKET` where a
 * launcher that brings a command line has to find the guest's vsock in it; `stop-timeout`, the seconds that --stop waits for the
 * guest; `end`.
 * @throws VmsecretdError command_invalid: an argument has a line break
 */
export function writeLaunchFile({ invocationId, definition, plan, launch }: LaunchFile): string {
  const { program, gate } = launch;
  const lines: Line[] = [
    ['invocation', invocationId],
    ...given('hypervisor', definition.hypervisor === 'qemu' ? 'qemu' : undefined),
    ...given('exec', program),
    ...launch.arguments.map((value): Line => ['arg', value]),
    ...launch.added.map(
      (word): Line =>
        typeof word === 'string'
          ? ['add', word]
          : ['add-socket', `${['api', ...UNIT_PORTS].indexOf(word.socket)} ${word.before}`],
    ),
    ...launch.fifos.map((path): Line => ['fifo', path]),
    ...given('gate', gate),
    ...(plan?.links ?? []).flatMap(({ path, target }): Line[] => [
      ['target', target],
      ['link', path],
    ]),
    ...(plan?.needs.claims ?? []).filter(isListened).map(({ value }): Line => ['free', value]),
    ...Object.entries(GUEST_PORTS).flatMap(([name, port]): Line[] => {
      const channel = launch.channels[name as keyof typeof GUEST_PORTS];
      return channel?.kind === 'vsock' ? [['channel', `${port} ${channel.path}`]] : [];
    }),
    ['stop-timeout', String(definition.stopTimeoutSeconds)],
    ...given('needs-command', plan === undefined ? '' : undefined),
  ];
  for (const [, value] of lines) if (value.includes('\n')) throw lineBreak(definition.name, value);
  return `${lines.map(([key, value]) => `${key} ${value}`).join('\n')}\nend\n`;
}

function given(key: string, value: string | undefined): Line[] {
  return value === undefined ? [] : [[key, value]];
}

function lineBreak(vm: string, value: string): VmsecretdError {
  return new VmsecretdError(
    'command_invalid',
    `VM ${vm}: ${JSON.stringify(value.slice(0, 60))} has a line break, which the launcher cannot pass on; remove it`,
    { details: { vm } },
  );
}
