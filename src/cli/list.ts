// list: VMs in a table, once or again at each change.

import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { VM_STATES } from '../vm/state.js';
import { isVmList } from './answer-checks.js';
import { understand, type VmAnswer, type VmListAnswer } from './answers.js';
import { CliError, createClient, EXIT } from './client.js';
import { type Context, contextOf, serialize } from './context.js';
import { renderHosts, renderList } from './render.js';
import { isPattern, matcherOf } from './select-vms.js';

interface ListOptions {
  state?: string[];
  outdated?: boolean;
  watch?: boolean;
}

/** What the table of definition files that are not valid has in place of a state. */
const STATES: readonly string[] = [...VM_STATES, 'invalid'];

export function addListCommand(program: Command): void {
  program
    .command('list')
    .aliases(['ls', 'ps'])
    .argument('[names...]', 'names or patterns')
    .option('--state <states>', `only VMs in one of these: ${STATES.join(', ')}`, collectStates)
    .option(
      '--outdated',
      `only VMs whose definition or secrets changed; exit ${EXIT.outdated} if there are any`,
    )
    .option('-w, --watch', 'print the table again at each change, until Ctrl-C')
    // Of the command, so that they go together: -aq.
    .option('-a, --all', 'those that are down, too, as without it')
    .option('-q, --quiet', 'print names only')
    .description('list VMs')
    .action(async (names: string[], options: ListOptions, command: Command) => {
      const context = contextOf(command);
      if (options.watch && context.remotes.length > 1)
        throw new CliError('--watch takes one -H', EXIT.usedWrongly);
      if (options.watch) return watchList(names, options, context);
      if (context.remotes.length > 1) return listHosts(names, options, context);
      const list = await readList(names, options, context);
      printList(list, context);
      if (options.outdated && list.vms.length > 0) process.exitCode = EXIT.outdated;
    });
}

function collectStates(text: string, before: string[] = []): string[] {
  const states = text.split(',');
  const unknown = states.find(state => !STATES.includes(state));
  if (unknown === undefined) return [...before, ...states];
  throw new CliError(`--state takes ${STATES.join(', ')}, not "${unknown}"`, EXIT.usedWrongly);
}

async function readList(
  names: readonly string[],
  options: ListOptions,
  { client, busy }: Context,
): Promise<VmListAnswer> {
  const answer = options.outdated
    ? busy('comparing VMs with what they were made of', client.wait('GET', '/v1/vms?compared=true'))
    : client.call('GET', '/v1/vms');
  const { vms, problems = [] } = understand(await answer, isVmList);
  const unknown = names.find(name => !isPattern(name) && !vms.some(vm => vm.name === name));
  // The daemon knows which name is near.
  if (unknown !== undefined) await client.call('GET', `/v1/vms/${encodeURIComponent(unknown)}`);
  const matchers = names.map(matcherOf);
  const isWanted = (vm: VmAnswer) =>
    (names.length === 0 || matchers.some(matches => matches(vm.name))) &&
    (options.state === undefined || options.state.includes(vm.state)) &&
    (!options.outdated || vm.outdated.length > 0);
  const withProblems =
    names.length === 0 && !options.outdated && (options.state?.includes('invalid') ?? true);
  return { vms: vms.filter(isWanted), problems: withProblems ? problems : [] };
}

/** @throws AggregateError of the hosts that do not answer, once the others are shown */
async function listHosts(names: readonly string[], options: ListOptions, context: Context): Promise<void> {
  const asked = context.remotes.map(async remote => {
    if ('error' in remote) throw remote.error;
    const client = createClient(remote.socketPath, remote.host);
    return { host: remote.host, ...(await readList(names, options, { ...context, client })) };
  });
  const answers = await Promise.allSettled(asked);
  const hosts = answers.flatMap(answer => (answer.status === 'fulfilled' ? [answer.value] : []));
  context.print({ hosts }, renderHosts, () =>
    hosts.flatMap(({ host, vms }) => vms.map(({ name }) => `${host} ${name}`)),
  );
  if (options.outdated && hosts.some(({ vms }) => vms.length > 0)) process.exitCode = EXIT.outdated;
  const failures = answers.flatMap(answer => (answer.status === 'rejected' ? [answer.reason] : []));
  if (failures.length > 0) {
    process.exitCode = undefined;
    throw new AggregateError(failures);
  }
}

function printList(list: VmListAnswer, { print }: Context): void {
  print(list, renderList, ({ vms }) => vms.map(({ name }) => name));
}

/** How long a burst of changes is waited out. */
const SETTLE_MS = 100;
/** On a terminal uptimes go on. */
const REDRAW_MS = 1_000;
const CLEAR = '\x1b[H\x1b[2J';

/** @throws CliError where the daemon is gone */
async function watchList(names: readonly string[], options: ListOptions, context: Context): Promise<void> {
  const { client, format } = context;
  const isTerminal = process.stdout.isTTY && format === 'table';
  let list: VmListAnswer | undefined;
  const show = () => {
    if (list === undefined) return;
    if (isTerminal) process.stdout.write(CLEAR);
    // A stream for programs is one document a line, or a document of YAML's.
    if (format === 'json') process.stdout.write(`${JSON.stringify(list)}\n`);
    else if (format === 'yaml') process.stdout.write(`---\n${serialize(list, 'yaml')}\n`);
    else printList(list, context);
  };
  const refresh = async () => {
    list = await readList(names, options, context);
    show();
  };
  // Before the first look: what changes after it is an event.
  const events = await client.stream('/v1/events');
  const redraw = isTerminal ? setInterval(show, REDRAW_MS) : undefined;
  let settling: NodeJS.Timeout | undefined;
  try {
    await refresh();
    await new Promise<void>((resolve, reject) => {
      const lines = createInterface({ input: events });
      lines.on('line', line => {
        if (!line.startsWith('event: ') || settling !== undefined) return;
        settling = setTimeout(() => {
          settling = undefined;
          refresh().catch(reject);
        }, SETTLE_MS);
      });
      events.once('error', () => resolve());
      lines.once('close', resolve);
    });
    throw new CliError('the list is not watched any more: the daemon is gone', EXIT.notReached);
  } finally {
    clearInterval(redraw);
    clearTimeout(settling);
    events.destroy();
  }
}
