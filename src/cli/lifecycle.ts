// start, stop, restart, reboot, kill, pause, resume.
import { type Command, Option } from 'commander';
import type { LifecycleVerb } from '../vm/lifecycle.js';
import type { VmView } from '../vm/vm.js';
import { CliError, EXIT, MAXIMUM_WAIT_SECONDS } from './client.js';
import { type Context, contextOf, vmPath } from './context.js';
import { showProgress } from './progress.js';
import { renderList } from './render.js';

interface LifecycleOptions {
  all?: boolean;
  outdated?: boolean;
  wait?: string | true;
  timeout?: number;
}

interface Verb {
  description: string;
  /** What a bare `--wait` is for; undefined where the daemon answers in that state anyway. */
  waitsFor?: 'ready' | 'stopped';
}

const VERBS: Record<LifecycleVerb, Verb> = {
  start: { description: 'start VMs with their secrets', waitsFor: 'ready' },
  stop: { description: 'ask guests to power off, then make them', waitsFor: 'stopped' },
  restart: { description: 'stop, then start with the secrets of now', waitsFor: 'ready' },
  reboot: {
    description: 'reset guests; they keep the secrets they were started with',
    waitsFor: 'ready',
  },
  kill: { description: 'end VMMs at once', waitsFor: 'stopped' },
  pause: { description: 'halt the virtual CPUs' },
  resume: { description: 'let the virtual CPUs go on', waitsFor: 'ready' },
};

export function addLifecycleCommands(program: Command): void {
  for (const verb of Object.keys(VERBS) as LifecycleVerb[]) {
    const command = program
      .command(verb)
      .description(VERBS[verb].description)
      .argument('[names...]')
      .addOption(waitOption(VERBS[verb]))
      .option('--timeout <seconds>', 'how long to wait', parseTimeout)
      .action((names: string[], options: LifecycleOptions, self: Command) =>
        act(verb, names, options, contextOf(self)),
      );
    if (verb === 'stop') command.option('--all', 'every VM that is not stopped');
    if (verb === 'restart') command.option('--outdated', 'every VM whose definition or secrets changed');
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

function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds >= 1 && seconds <= MAXIMUM_WAIT_SECONDS) return seconds;
  throw new CliError(
    `--timeout takes whole seconds from 1 to ${MAXIMUM_WAIT_SECONDS}, not "${text}"`,
    EXIT.usedWrongly,
  );
}

async function act(
  verb: LifecycleVerb,
  names: readonly string[],
  options: LifecycleOptions,
  context: Context,
): Promise<void> {
  const { client, print } = context;
  const chosen = options.all || options.outdated ? await chooseVms(options, context) : names;
  if (chosen.length === 0 && !options.all && !options.outdated) {
    throw new CliError(`${verb}: which VM? vmsecretctl list shows them`, EXIT.usedWrongly);
  }
  const query = new URLSearchParams();
  if (typeof options.wait === 'string') query.set('wait', options.wait);
  if (options.timeout !== undefined) query.set('timeout', String(options.timeout));
  const suffix = query.size > 0 ? `?${query}` : '';
  const requests = chosen.map(
    name => client.wait('POST', vmPath(name, `/${verb}${suffix}`)) as Promise<VmView>,
  );
  const outcomes = await (typeof options.wait === 'string' && options.wait !== 'none'
    ? showProgress({ client, names: chosen, output: process.stderr, work: Promise.allSettled(requests) })
    : Promise.allSettled(requests));
  const done = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  if (done.length > 0 || outcomes.length === 0)
    print({ vms: done }, ({ vms }) => (vms.length === 0 ? 'No VM to act on.' : renderList(vms)));
  const failures = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [withName(chosen[index] ?? '', outcome.reason)] : [],
  );
  if (failures.length > 0) throw new AggregateError(failures);
}

/** Most messages name the VM themselves. */
function withName(name: string, error: unknown): unknown {
  if (!(error instanceof CliError) || error.message.includes(`VM ${name}`)) return error;
  return new CliError(`VM ${name}: ${error.message}`, error.exitStatus);
}

async function chooseVms(options: LifecycleOptions, { client }: Context): Promise<string[]> {
  // A secret may have changed a moment ago, and the daemon may have started then.
  const list = options.outdated ? client.wait('GET', '/v1/vms?compared=true') : client.call('GET', '/v1/vms');
  const { vms } = (await list) as { vms: VmView[] };
  return vms
    .filter(vm =>
      options.outdated ? vm.outdated.length > 0 : vm.state !== 'stopped' && vm.state !== 'failed',
    )
    .map(vm => vm.name);
}
