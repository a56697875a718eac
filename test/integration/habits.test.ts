// What operators of systemctl, virsh, incus and podman type: each line of the table in docs/cli.md, against a real daemon.

import { splitCommand } from '../../src/definition/split-command.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { readPage } from '../setup/pages.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { NO_TERMINAL, RunningCtl } from './running-ctl.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

/** The real one where it can be had. */
const VMM = CLOUD_HYPERVISOR.skip ? STAND_IN : CLOUD_HYPERVISOR;
const options = { config: { hypervisors: VMM.hypervisors } };

interface Habit {
  typed: string;
  prints: RegExp;
  /** On a terminal, until it has printed that; then it is ended by what is typed, or killed. */
  onTerminal?: { type?: string; environment?: Record<string, string> };
  /** What is so afterwards. */
  after?: (rig: Rig) => Promise<unknown>;
}

const stateIs = (name: string, state: string) => (rig: Rig) =>
  rig.daemon.untilVm(name, `is ${state}`, vm => vm.state === state);

/** In an order in which each is possible. */
const HABITS: readonly Habit[] = [
  { typed: 'ls', prints: /^NAME +STATE.*\ndb +stopped .*\nweb +stopped .*\nweb2 +stopped .* -\n$/ },
  { typed: 'ps -aq', prints: /^db\nweb\nweb2\n$/ },
  { typed: 'list --all', prints: /^NAME/ },
  { typed: 'list --no-legend', prints: /^db +stopped/ },
  { typed: 'list -o yaml', prints: /^vms:\n {2}- name: db\n {4}state: stopped\n/ },
  { typed: 'check --all', prints: /^db\nok +definition[\s\S]*\n\nweb\nok/ },
  { typed: "start 'web*'", prints: /^NAME.*\nweb +running.*\nweb2 +running.*\n$/ },
  { typed: 'wait web --for ready', prints: /\nweb +running +yes/ },
  { typed: 'start --all', prints: /^NAME.*\ndb +running.*\n$/ },
  { typed: "list 'web*' --state running", prints: /^NAME.*\nweb +running.*\nweb2 +running.*\n$/ },
  { typed: 'list --watch', prints: /web .*running.* yes/, onTerminal: { environment: { TERM: 'xterm' } } },
  { typed: 'status web', prints: /^name +web\nstate +running, ready\n/ },
  { typed: 'info web', prints: /^name +web\n/ },
  { typed: 'inspect web --json', prints: /^\{\n {2}"name": "web",\n/ },
  { typed: 'logs web', prints: new RegExp(`CANARY=.*\\s+${END_OF_OEM_STRINGS}\\s*$`) },
  { typed: 'logs -f --tail 1 web', prints: new RegExp(`${END_OF_OEM_STRINGS}`), onTerminal: {} },
  { typed: 'attach web', prints: /Ctrl-\] leaves/, onTerminal: { type: '\x1d' } },
  { typed: 'suspend web', prints: /\nweb +paused/, after: stateIs('web', 'paused') },
  { typed: 'unpause web', prints: /\nweb +running/, after: stateIs('web', 'running') },
  { typed: 'reset web', prints: /\nweb +running/ },
  { typed: 'monitor web', prints: /web is paused/, onTerminal: {} },
  { typed: 'stop -t 5 web', prints: /\nweb +stopped/, after: stateIs('web', 'stopped') },
  { typed: 'shutdown web', prints: /\nweb +stopped/ },
  { typed: 'wait web', prints: /\nweb +stopped/ },
  { typed: 'cat web', prints: /^\{\n[\s\S]*"command": \[/ },
  {
    typed: 'edit web',
    prints: /name +web/,
    onTerminal: { environment: { EDITOR: 'sed -i s/64M/65M/' } },
    after: async ({ daemon }) => {
      const { json } = await daemon.call('GET', '/v1/vms/web/definition');
      if (!JSON.stringify(json).includes('size=65M')) throw new Error('what was edited is not kept');
    },
  },
  { typed: 'daemon-reload', prints: /^3 definitions\n$/ },
  { typed: 'version', prints: /^vmsecretctl +\d+\.\d+\.\d+\nvmsecretd +\d+/ },
  { typed: 'rm web', prints: /^web deleted\n$/, after: ({ daemon }) => daemon.act('db', 'stop') },
  { typed: 'undefine db', prints: /^db deleted\n$/ },
];

/** Tried elsewhere. */
const ELSEWHERE = ['ssh web'];

daemonTest('vmsecretctl does what operators of other programs mean', options, async (t, rig) => {
  const { daemon } = rig;
  const listed = [...readPage('docs/cli.md').matchAll(/^\| `vmsecretctl ([^`]+)` +\|/gm)].map(
    ([, typed]) => typed,
  );
  const tried = HABITS.map(({ typed }) => typed);
  t.strictSame(
    [...tried, ...ELSEWHERE].toSorted(),
    listed.toSorted(),
    'every line of the page, and no other',
  );
  for (const name of ['web', 'web2', 'db']) await defineVm(VMM, rig, name);
  for (const { typed, prints, onTerminal, after } of HABITS) {
    const words = splitCommand(typed);
    if (onTerminal === undefined) {
      const result = await daemon.ctl(...words);
      t.match(result, { status: 0, stdout: prints }, typed);
    } else if (!NO_TERMINAL) {
      const ctl = new RunningCtl(daemon, words, { terminal: true, environment: onTerminal.environment });
      // It prints nothing until something happens, so it is not known when it listens.
      while (typed.startsWith('monitor') && !prints.test(ctl.printed)) {
        await daemon.act('web', 'pause');
        await daemon.act('web', 'resume');
      }
      await ctl.untilPrinted(prints);
      if (onTerminal.type === undefined) ctl.kill();
      else ctl.type(onTerminal.type);
      await ctl.ended;
    }
    await after?.(rig);
    if (typed === 'start --all') await daemon.untilConsole('web', END_OF_OEM_STRINGS);
  }
});
