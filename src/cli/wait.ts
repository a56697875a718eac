// wait: until VMs are in a state, whoever brings them there.

import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { isVm } from './answer-checks.js';
import { understand, type VmAnswer } from './answers.js';
import { CliError, type Client, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { parseSeconds } from './lifecycle.js';
import { renderList } from './render.js';
import { resolveNames } from './select-vms.js';

const isDown = ({ state }: VmAnswer) => state === 'stopped' || state === 'failed';
const CONDITIONS: Readonly<Record<string, (vm: VmAnswer) => boolean>> = {
  stopped: isDown,
  running: ({ state }) => state === 'running',
  ready: ({ ready }) => ready,
};

interface WaitOptions {
  for: string;
  timeout?: number;
}

export function addWaitCommand(program: Command): void {
  program
    .command('wait')
    .argument('<names...>', 'names or patterns')
    .addOption(
      new Option('--for <state>', 'what is waited for').choices(Object.keys(CONDITIONS)).default('stopped'),
    )
    .option('-t, --timeout <seconds>', 'how long to wait', parseSeconds('--timeout', 1))
    .description('wait until VMs are in a state; start none')
    .action(async (words: string[], options: WaitOptions, command: Command) => {
      const { client, print, busy } = contextOf(command);
      const names = await resolveNames(client, words);
      const late = options.timeout === undefined ? undefined : AbortSignal.timeout(options.timeout * 1000);
      const waiting = Promise.all(names.map(name => waitFor(name, options, client, late)));
      const vms = await busy(`waiting for ${names.join(', ')} to be ${options.for}`, waiting);
      print({ vms }, ({ vms }, look) => renderList({ vms, problems: [] }, look));
      if (options.for === 'stopped' && vms.some(({ state }) => state === 'failed'))
        process.exitCode = EXIT.failed;
    });
}

async function waitFor(
  name: string,
  { for: wanted, timeout }: WaitOptions,
  client: Client,
  late: AbortSignal | undefined,
): Promise<VmAnswer> {
  // Before the first look: what changes after it is an event.
  const events = await client.stream(`/v1/events?vm=${encodeURIComponent(name)}`);
  const lines = createInterface({ input: events });
  const end = () => lines.close();
  late?.addEventListener('abort', end);
  // Readline does not notice the end of a connection that is cut.
  events.once('close', end);
  let vm: VmAnswer | undefined;
  try {
    // Its first line is a greeting.
    for await (const line of lines) {
      if (vm !== undefined && !line.startsWith('event: ')) continue;
      vm = understand(await client.call('GET', vmPath(name)), isVm);
      if (CONDITIONS[wanted]?.(vm)) return vm;
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    // The stream was cut.
  } finally {
    late?.removeEventListener('abort', end);
    events.destroy();
  }
  if (late?.aborted)
    throw new CliError(
      `VM ${name} is ${vm?.state ?? 'unknown'} and not ${wanted} after ${timeout} s`,
      EXIT.failed,
    );
  throw new CliError(`VM ${name} is not waited for any more: the daemon is gone`, EXIT.notReached);
}
