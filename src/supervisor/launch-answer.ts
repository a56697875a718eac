// What the launcher is told: lines of text, never a secret.
import { isAbsolute, resolve } from 'node:path';
import { VmsecretdError } from '../errors.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';

/**
 * `exec PROGRAM`, an `arg` line for each argument, a `net` line for each network device that the launcher holds open, a
 * `link` line where the command line asked for another API socket, and `stop-timeout`, how long its --stop waits for the guest.
 * @throws VmsecretdError command_invalid: an argument with a line break cannot be told
 */
export function writeLaunchAnswer(
  plan: VmPlan,
  workingDirectory: string,
  stopTimeoutSeconds: number,
): string {
  const { apiSocketLink } = plan;
  const link = apiSocketLink === undefined ? [] : [resolve(workingDirectory, apiSocketLink)];
  const lines: [key: string, value: string][] = [
    ['exec', plan.program],
    ...plan.arguments.map((value): [string, string] => ['arg', value]),
    ...plan.inheritedNets.map((value): [string, string] => ['net', value]),
    ...link
      .filter(path => isAbsolute(path) && path !== plan.apiSocket)
      .map((path): [string, string] => ['link', path]),
    ['stop-timeout', String(stopTimeoutSeconds)],
  ];
  for (const [, value] of lines) if (value.includes('\n')) throw lineBreak(plan.vm, value);
  return `${lines.map(([key, value]) => `${key} ${value}`).join('\n')}\nend\n`;
}

function lineBreak(vm: string, value: string): VmsecretdError {
  return new VmsecretdError(
    'command_invalid',
    `VM ${vm}: ${JSON.stringify(value.slice(0, 60))} has a line break, which the launcher cannot be told; take it out`,
    { details: { vm } },
  );
}
