// start, stop, restart, reboot, kill, pause, resume, refresh.

import { type Command, Option } from 'commander';
import type { LifecycleVerb } from '../vm/lifecycle.js';
import type { VmState } from '../vm/state.js';
import { isVm, isVmList } from './answer-checks.js';
import { understand, type VmAnswer } from './answers.js';
import { CliError, EXIT, MAXIMUM_WAIT_SECONDS } from './client.js';
import { type Context, contextOf, vmPath } from './context.js';
import { showProgress } from './progress.js';
import { renderList } from './render.js';
import { listVms, requireChoice, resolveNames } from './select-vms.js';

interface LifecycleOptions {
  grace?: number;
  all?: boolean;
  outdated?: boolean;
  wait?: string | true;
  timeout?: number;
}

interface Verb {
  description: string;
  aliases?: readonly string[];
  /** The states of those that --all means. */
  all: readonly VmState[];
  /** What a bare `--wait` is for; undefined where the daemon answers in that state anyway. */
  waitsFor?: 'ready' | 'stopped';
}

const DOWN: readonly VmState[] = ['stopped', 'failed'];
const UP: readonly VmState[] = ['starting', 'running', 'paused', 'stopping'];

type VerbName = LifecycleVerb | 'refresh';

const VERBS: Record<VerbName, Verb> = {
  start: { description: 'start VMs with their secrets', all: DOWN, waitsFor: 'ready' },
  stop: {
    description: 'ask guests to power off, then make them',
    aliases: ['shutdown'],
    all: UP,
    waitsFor: 'stopped',
  },
  restart: {
    description: 'stop, then start with the secrets of now',
    all: ['running', 'paused'],
    waitsFor: 'ready',
  },
  reboot: {
    description: 'reset guests; they keep the secrets they were started with',
    aliases: ['reset'],
    all: ['running'],
    waitsFor: 'ready',
  },
  kill: { description: 'end VMMs at once', all: UP, waitsFor: 'stopped' },
  pause: { description: 'halt the virtual CPUs', aliases: ['suspend'], all: ['running'] },
  resume: {
    description: 'let the virtual CPUs go on',
    aliases: ['unpause'],
    all: ['paused'],
    waitsFor: 'ready',
  },
  refresh: {
    description: 'give running guests the secrets of now, and wait for their receipts',
    all: ['running'],
  },
};

export function addLifecycleCommands(program: Command): void {
  for (const verb of Object.keys(VERBS) as VerbName[]) {
    const { description, aliases = [], all } = VERBS[verb];
    const command = program
      .command(verb)
      .aliases(aliases)
      .description(description)
      .argument('[names...]', 'names or patterns')
      .addOption(waitOption(VERBS[verb]))
      .option('--timeout <seconds>', 'how long to wait', parseSeconds('--timeout', 1))
      .option('--all', `every VM that is ${all.join(' or ')}`)
      .action((names: string[], options: LifecycleOptions, self: Command) =>
        act(verb, names, options, contextOf(self)),
      );
    if (verb === 'stop')
      command.option(
        '-t, --grace <seconds>',
        'how long the guest has to power off; stopTimeoutSeconds of its definition unless given',
        parseSeconds('--grace', 0),
      );
    if (verb === 'restart') command.option('--outdated', 'every VM whose definition or secrets changed');
    if (verb === 'refresh') command.option('--outdated', 'every VM whose secrets changed');
  }
}

function waitOption({ waitsFor }: Verb): Option {
  const unlessNamed = waitsFor === undefined ? 'until it is done' : `\`${waitsFor}\``;
  const option = new Option(
    '--wait [state]',
    `wait until the VM is in that state; ${unlessNamed} unless named`,
  );
  option.choices(['running', 'ready', 'stopped', 'none']);
  return waitsFor === undefined ? option : option.preset(waitsFor);
}

export function parseSeconds(option: string, least: number): (text: string) => number {
  return text => {
    const seconds = Number(text);
    if (/^\d+$/.test(text) && seconds >= least && seconds <= MAXIMUM_WAIT_SECONDS) return seconds;
    throw new CliError(
      `${option} takes whole seconds from ${least} to ${MAXIMUM_WAIT_SECONDS}, not "${text}"`,
      EXIT.usedWrongly,
    );
  };
}

async function act(
  verb: VerbName,
  names: readonly string[],
  options: LifecycleOptions,
  context: Context,
): Promise<void> {
  const { client, print } = context;
  const isNamed = requireChoice(verb, names, options.all || options.outdated);
  const chosen = isNamed ? await resolveNames(client, names) : await chooseVms(verb, options, context);
  const query = new URLSearchParams();
  if (typeof options.wait === 'string') query.set('wait', options.wait);
  if (options.timeout !== undefined) query.set('timeout', String(options.timeout));
  if (options.grace !== undefined) query.set('grace', String(options.grace));
  const suffix = query.size > 0 ? `?${query}` : '';
  const requests = chosen.map(async name =>
    understand(await client.wait('POST', vmPath(name, `/${verb}${suffix}`)), isVm),
  );
  const isWaitedFor = typeof options.wait === 'string' && options.wait !== 'none';
  const outcomes = await (isWaitedFor || process.stderr.isTTY
    ? showProgress({ client, names: chosen, output: process.stderr, work: Promise.allSettled(requests) })
    : Promise.allSettled(requests));
  const done = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  if (done.length > 0 || outcomes.length === 0)
    print({ vms: done }, ({ vms }, look) =>
      vms.length === 0 ? 'No VM to act on.' : renderList({ vms, problems: [] }, look),
    );
  const failures = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [withName(chosen[index] ?? '', outcome.reason)] : [],
  );
  if (failures.length > 0) throw new AggregateError(failures);
}

/** Most messages name the VM themselves. */
function withName(name: string, error: unknown): unknown {
  if (!(error instanceof CliError) || error.message.includes(`VM ${name}`)) return error;
  return new CliError(`VM ${name}: ${error.message}`, error.exitStatus, { vm: name, ...error.problem });
}

async function chooseVms(
  verb: VerbName,
  options: LifecycleOptions,
  { client, busy }: Context,
): Promise<string[]> {
  const isOutdated = ({ outdated }: VmAnswer) =>
    verb === 'refresh' ? outdated.some(reason => reason.startsWith('credential ')) : outdated.length > 0;
  const isMeant = (vm: VmAnswer) =>
    options.outdated ? isOutdated(vm) : VERBS[verb].all.some(state => state === vm.state);
  // A secret may have changed a moment ago, and the daemon may have started then.
  const { vms } = options.outdated
    ? understand(
        await busy('comparing VMs with what they were made of', client.wait('GET', '/v1/vms?compared=true')),
        isVmList,
      )
    : await listVms(client);
  return vms.filter(isMeant).map(vm => vm.name);
}
