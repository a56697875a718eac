// Lies at launch.sock on a real systemd, told all at once, while VMs run and in the middle of launches: each is refused
// with its code, and the launch beside them gets its secrets. VMSECRETD_ROUNDS and VMSECRETD_SEED choose how often and
// in which order.
import { type Test, test } from 'tap';
import { randomFrom } from '../setup/random.js';
import { bootVmHost, PRINTED_SECRET, SECRET, type VmHost, whyNoVmHost } from './vm-host.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 2);
const SEED = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
const PRINTED = PRINTED_SECRET.slice(PRINTED_SECRET.indexOf('=') + 1);

const VMM_ALREADY = /^403 .*"code":"forbidden".* is its VMM already/;
const NO_PROCESS = /^403 .*"code":"forbidden".* there is no process \d+/;
const ELSEWHERE = /^403 .*"code":"forbidden".* does not run in microvm@demo\.service/;
const NOT_MAIN = /^403 .*"code":"forbidden".* is not the main process of microvm@demo\.service/;
const TOO_LONG = /^403 .*"code":"forbidden".* longer than 1048576 bytes or 10000 arguments/;
const INVALID = /^400 .*"code":"request_invalid"/;

/** The lies of programs/lies.sh, and what is answered while the VM runs. */
const LIES: Readonly<Record<string, RegExp>> = {
  curls_pid: ELSEWHERE,
  vmms_pid: VMM_ALREADY,
  vmms_thread: /^403 .*"code":"forbidden".* (is not the main process of|is its VMM already)/,
  other_vmms_pid: ELSEWHERE,
  other_units_pid: ELSEWHERE,
  no_such_pid: NO_PROCESS,
  zombie: NO_PROCESS,
  outside: ELSEWHERE,
  rewritten_command: ELSEWHERE,
  same_last_component: ELSEWHERE,
  below_the_unit: ELSEWHERE,
  beside_the_vmm: NOT_MAIN,
  other_units_cgroup: ELSEWHERE,
  launcher_of_other: NOT_MAIN,
  no_separator: NOT_MAIN,
  many_arguments: NOT_MAIN,
  huge_command: NOT_MAIN,
  deep_folder: NOT_MAIN,
  renamed_folder: NOT_MAIN,
  name_with_uid: NOT_MAIN,
  exec_in_between: /^403 .*"code":"forbidden".* (is not|changed while)/,
  reused_pid: ELSEWHERE,
  reused_pid_in_the_unit: NOT_MAIN,
  other_network: NOT_MAIN,
  other_pids: /^403 .*"code":"forbidden".* (does not run in|there is no process)/,
  pid_of_root: INVALID,
  fraction: INVALID,
  text: INVALID,
  two_pids: INVALID,
  too_large: NO_PROCESS,
  unknown_vm: /^404 .*"code":"vm_unknown"/,
};
/** In the middle of a restart: the unit and its processes come and go, and so may the liar in its cgroup. */
const REFUSED = /^(403 .*"code":"forbidden"|400 .*"code":"request_invalid"|404 .*"code":"vm_unknown")/;
/** Who names the launcher itself hears its answer, or that there is no start any more. */
const TRUE_OR_REFUSED = /^(200 exec .* end\b|403 .*"code":"forbidden"|409 .*"code":"state_conflict"|none )/;
/** Pids that the launcher may get. */
const MAY_BE_TRUE = new Set(['storm', 'vmms_pid', 'vmms_thread']);

/** The lies of main processes of units: what is answered to each of their knocks. */
const MAIN_LIES: Readonly<Record<string, readonly RegExp[]>> = {
  main_deep: [/^403 .*"code":"forbidden".* working directory .* is longer than the kernel tells/],
  main_huge: [TOO_LONG],
  main_separator: [/^403 .*"code":"forbidden".* is not vmsecretd-launch separator/],
  main_named: [/^403 .*"code":"forbidden".* is not vmsecretd-launch named/],
  main_forged: [/^403 .*"code":"forbidden".* is not run by the user of liar-forged\.service/],
  main_again: [/^200 exec /, /^403 .*"code":"forbidden".* is its VMM already/],
  main_silent: [/^200 exec /],
  main_netns: [/^200 exec /],
};

const skip = whyNoVmHost();
const count = Object.keys(LIES).length;

test('lies at launch.sock', { skip, timeout: 180_000 + ROUNDS * 60_000 }, async t => {
  t.comment(`seed ${SEED}`);
  const random = randomFrom(SEED);
  const host = await bootLiars(t);

  await t.test(
    `${count} lies, each told ${2 * ROUNDS} times, are refused, and launches beside them succeed`,
    async t => {
      for (let round = 1; round <= ROUNDS; round += 1) {
        const names = shuffle(Object.keys(LIES), random);
        await tellWhileItRuns(t, host, names);
        await tellWhileItIsRestarted(t, host, { names, delaySeconds: random() * 0.5, launches: round + 2 });
      }
    },
  );

  await t.test('a main process that lies about itself or its socket gets nothing by it', async t => {
    await tellAsMainProcesses(t, host);
    t.equal(await host.sh('states demo; unit demo NRestarts'), 'active running\n0');
  });

  await t.test(
    'who got the pid of a VMM that ended without a daemon, and listens in its place, is left alone',
    async t => {
      const answer = await host.sh(PID_OF_A_VMM);
      t.match(answer, /^1\ninactive stopped\n/, 'there was a record, and the VM is down');
      t.notMatch(answer, /demo\.json|caught/, 'the record is dropped, and nobody connected');
      t.match(answer, /active running$/);
    },
  );

  const log = await host.sh('daemon_log');
  t.notMatch(log, /"code":"internal"|"level":(50|60)/, 'no lie is a fault of the daemon');
});

const PID_OF_A_VMM = `
  everything='vmsecretd.socket vmsecretd-admin.socket vmsecretd-launch.socket vmsecretd'
  systemctl stop $everything
  VMM=$(unit demo MainPID)
  systemctl stop microvm@demo
  grep -c '"pid":'"$VMM," /run/vmsecretd/records/demo.json
  mkdir -p /run/vmsecretd/vms/demo
  mkfifo /run/stay
  TAKE=$VMM LISTEN=/run/vmsecretd/vms/demo/api.sock CAUGHT=$lies/out/caught.reused \
    perl $lies/imposter.pl < /run/stay > /dev/null &
  exec 3> /run/stay
  eventually '[ -S /run/vmsecretd/vms/demo/api.sock ]'
  systemctl start $everything
  states demo
  kill -0 "$VMM" && ls /run/vmsecretd/records $lies/out
  kill -KILL "$VMM"
  rm -r /run/vmsecretd/vms/demo
  systemctl start microvm@demo
  states demo`;

/** Two VMs run; /run/vmm has the pid of demo's VMM, /run/gone that of the one before it. */
async function bootLiars(t: Test): Promise<VmHost> {
  const host = await bootVmHost(t);
  const sh: VmHost['sh'] = async (script, options) => {
    const output = await host.sh(`. /project/test/systemd/programs/lies.sh\n${script}`, options);
    const hidden = output.replaceAll(SECRET, '…').replaceAll(PRINTED, '…');
    if (hidden !== output) throw new Error(`a secret was told: ${hidden}`);
    return output;
  };
  await sh(`prepare_lies; define demo await-power-button; define other stay
    systemctl start microvm@demo microvm@other
    unit demo MainPID > /run/gone; systemctl restart microvm@demo; unit demo MainPID > /run/vmm`);
  return { ...host, sh };
}

const FACTS = 'VMM=$(cat /run/vmm) GONE=$(cat /run/gone) OTHER=$(unit other MainPID)';

async function tellWhileItRuns(t: Test, host: VmHost, names: readonly string[]): Promise<void> {
  const told = answersOf(await host.sh(`${FACTS}; tell_all ${names.join(' ')}`));
  for (const name of names) {
    const answers = told.get(name) ?? [];
    t.ok(answers.length > 0, `${name} is answered`);
    for (const answer of answers) t.match(answer, LIES[name], name);
  }
  const [before, now, ...rest] = (
    await host.sh('cat /run/vmm; unit demo MainPID; states demo; states other')
  ).split('\n');
  t.equal(now, before);
  t.strictSame(rest, ['active running', 'active running']);
}

interface Restart {
  names: readonly string[];
  delaySeconds: number;
  /** How often the guest has been given its secret by then. */
  launches: number;
}

async function tellWhileItIsRestarted(t: Test, host: VmHost, { names, delaySeconds, launches }: Restart) {
  const output = await host.sh(`${FACTS}; restart_in_a_storm ${delaySeconds.toFixed(3)} ${names.join(' ')}`);
  const told = answersOf(output);
  const knocks = told.get('storm')?.shift();
  t.match(knocks, /^\d+ knocks$/);
  const all = [...told].flatMap(([name, answers]) => answers.map(answer => ({ name, answer })));
  for (const { name, answer } of all)
    t.match(answer, MAY_BE_TRUE.has(name) ? TRUE_OR_REFUSED : REFUSED, `while it is restarted: ${name}`);
  t.ok(told.size > names.length && all.length > names.length / 2, `${all.length} answers`);
  const heard = all.filter(({ answer }) => answer.startsWith('200 ')).length;
  t.comment(
    `restarted after ${delaySeconds.toFixed(3)} s, in ${knocks} and ${all.length} answers, ${heard} of them the launcher’s own`,
  );
  await host.sh(`eventually '[ "$(states demo)" = "active running" ]'
    eventually '[ "$(console demo | grep -cxF "${PRINTED_SECRET}")" = ${launches} ]'
    mv /run/vmm /run/gone; unit demo MainPID > /run/vmm`);
  t.equal(await host.sh('unit demo NRestarts; vmm_count'), '0\n2');
}

async function tellAsMainProcesses(t: Test, host: VmHost): Promise<void> {
  const liars = Object.keys(MAIN_LIES);
  await host.sh(`for liar in ${liars.map(name => name.replace('main_', '')).join(' ')}; do define_liar $liar; done
    systemctl reload vmsecretd`);
  for (let round = 1; round <= ROUNDS; round += 2) {
    const told = answersOf(await host.sh(`tell_all ${liars.join(' ')}`));
    for (const [name, expected] of Object.entries(MAIN_LIES)) {
      const answers = told.get(name) ?? [];
      t.equal(answers.length, expected.length, `${name}: ${answers.join('; ')}`);
      for (const [index, pattern] of expected.entries()) t.match(answers[index], pattern, name);
    }
  }
  await host.sh(`for liar in silent netns; do
    eventually 'daemon_log | grep -q "\\"vm\\":\\"$liar\\".*vmm_timeout"'
  done`);
  t.equal(await host.sh('ls $lies/out | grep caught || true'), '', 'who listens in its place hears nothing');
}

/** @returns by lie, what was printed for it: an answer a line, and what went wrong inside of the liar */
function answersOf(output: string): Map<string, string[]> {
  const sections = output.split(/^== (\w+)$/m).slice(1);
  const told = new Map<string, string[]>();
  for (let at = 0; at < sections.length; at += 2) {
    told.set(sections[at] ?? '', (sections[at + 1] ?? '').split('\n').filter(Boolean));
  }
  return told;
}

function shuffle(items: readonly string[], random: () => number): string[] {
  const order = items.map(item => ({ item, at: random() }));
  return order.sort((a, b) => a.at - b.at).map(({ item }) => item);
}
