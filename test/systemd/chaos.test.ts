// What test/integration/chaos.test.ts does to VMs of the daemon, for VMs that are units: systemd, the daemon, its deliverer and VMMs
// get verbs and signals at once, and definitions, secrets and disks come, change and go meanwhile. Afterwards no VM is lost, none runs
// twice, and what the API, systemd and the VMM say of a VM is one thing. VMSECRETD_CHAOS_ROUNDS and VMSECRETD_SEED choose how often
// and which.

import { test } from 'tap';
import { randomFrom } from '../setup/random.js';
import { bootVmHost, SECRET, whyNoRealVmHost } from './vm-host.js';

const ROUNDS = Number(process.env.VMSECRETD_CHAOS_ROUNDS ?? 2);
const SEED = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
const TIMEOUT_MS = 240_000 + ROUNDS * 60_000;
const NAMES = ['vm0', 'vm1', 'vm2', 'vm3'];
const LONGEST_ROUND_SECONDS = 2;
const API_VERBS = [
  'start',
  'start',
  'stop',
  'restart',
  'restart',
  'kill',
  'pause',
  'resume',
  'reboot',
  'check',
];
const SYSTEMD_VERBS = ['start', 'stop', 'restart', 'reset-failed', 'kill --kill-whom=all --signal=KILL'];

const CHANGED_SECRET = `${SECRET}, changed`;
/** What a guest may print: it has the secret that its file had when it was started. */
const SECRETS = new Set(
  [SECRET, CHANGED_SECRET].map(
    secret => `io.systemd.credential.binary:API_KEY=${Buffer.from(secret).toString('base64')}`,
  ),
);

/** Functions of the scripts below. Each of them may find nothing, and is no failure then. */
const FUNCTIONS = `
api() { curl --silent --max-time 90 --unix-socket /run/vmsecretd/admin.sock --request "$1" "http://localhost$2"; }
disk() { echo "/var/lib/microvms/$1/disk.img"; }
write_definition() {
  json=$(define_json "$1" "\${2-}")
  # As one who is careful does it.
  printf '%s\\n' "$json" > "/etc/vmsecretd/vms/$1.new" && mv "/etc/vmsecretd/vms/$1.new" "/etc/vmsecretd/vms/$1.json"
}
define_json() {
  cat << DEFINITION
{
  "command": ["--kernel", "/opt/guests/await-power-button", "--memory", "size=64M", "--serial", "tty", "--console", "off",
    "--disk", "path=$(disk "$1"),image_type=raw", "--vsock", "cid=3,socket=/var/lib/microvms/$1/notify.vsock"],
  "credentials": { "API_KEY": { "age": "/etc/secrets/$1.age" } },
  "stopTimeoutSeconds": 1$2
}
DEFINITION
}
write_secret() { cp "/etc/secrets/$2" "/etc/secrets/$1.new" && mv "/etc/secrets/$1.new" "/etc/secrets/$1.age"; }
write_disk() { install -d -o microvm -m 700 "/var/lib/microvms/$1"; truncate -s 1M "$(disk "$1")"; chown microvm "$(disk "$1")"; }
restore() { write_definition "$1"; write_secret "$1" good; write_disk "$1"; }
vmms() { for exe in /proc/[0-9]*/exe; do case $(readlink "$exe") in */cloud-hypervisor*) exe=\${exe#/proc/}; echo "\${exe%/exe}" ;; esac; done; }
daemon() { systemctl show vmsecretd --property MainPID --value; }
child_of_daemon() { pgrep --parent "$(daemon)" --full "$1" | head -n 1; }
main_of() { unit "$1" MainPID; }
# PID SIGNAL; PID SECONDS: nobody may be there, or be gone by now.
signal() { [ "\${1:-0}" -le 1 ] || kill -s "$2" "$1"; }
# What a guest printed since its unit was last started.
printed_secrets() {
  run() { journalctl "_SYSTEMD_INVOCATION_ID=$(unit "$1" InvocationID)" --output cat; }
  eventually "run $1 | grep -q 'END OF OEM STRINGS'"
  run "$1" | grep --text -o 'io.systemd.credential.binary:.*'
}
# The list of the API; the pids of all VMMs; a line for each VM.
facts() {
  api GET /v1/vms; echo
  vmms | tr '\\n' ' '; echo
  for name; do
    says=$(timeout 5 curl --silent --unix-socket "/run/vmsecretd/api/$name.sock" http://localhost/api/v1/vm.info | grep -o '"state":"[A-Za-z]*"' | head -n 1 | cut -d '"' -f 4)
    echo "$name $(unit "$name" ActiveState) $(unit "$name" SubState) $(unit "$name" MainPID) $says"
  done
}
halt_for() { signal "$1" STOP; sleep "$2"; signal "$1" CONT; }
`;

test(`${ROUNDS} rounds of everything at once lose no unit's VM and double none (seed ${SEED})`, {
  skip: whyNoRealVmHost(),
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  const random = randomFrom(SEED);
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const seconds = () => (random() * LONGEST_ROUND_SECONDS).toFixed(3);
  const sh = (script: string) => host.sh(FUNCTIONS + script, { deadlineMs: 300_000 });
  const restoreAll = `for name in ${NAMES.join(' ')}; do restore $name; done`;
  await sh(`
    set -e
    mkdir /etc/systemd/system/microvm@.service.d
    printf '[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nRestartSec=1\\n' > /etc/systemd/system/microvm@.service.d/soon.conf
    systemctl daemon-reload
    cp /etc/secrets/api-key.age /etc/secrets/good
    printf '%s' '${CHANGED_SECRET}' | age --recipient "$(sed 's/.*: //' /tmp/public)" --output /etc/secrets/changed
    ${restoreAll}
    systemctl start vmsecretd`);
  const disturbances: readonly ((name: string) => string)[] = [
    name => `write_definition ${name} ', "oemStrings": ["round-${random()}"]'`,
    name => `rm -f /etc/vmsecretd/vms/${name}.json`,
    name => `write_definition ${name} ', "startTimeoutSeconds": ${pick([1, 30])}'`,
    name => `write_definition ${name} ', "supervisor": "daemon"'`,
    () => 'api POST /v1/reload',
    () => 'api POST /v1/reload',
    name => `write_secret ${name} changed`,
    name => `rm -f /etc/secrets/${name}.age`,
    name => `rm -f "$(disk ${name})"`,
    name => `write_disk ${name}`,
    () => 'signal "$(child_of_daemon deliverer)" KILL',
    () => `halt_for "$(child_of_daemon deliverer)" 0.3`,
    () => 'signal "$(child_of_daemon busctl)" KILL',
    name => `signal "$(main_of ${name})" ${pick(['KILL', 'TERM', 'ABRT'])}`,
    name => `halt_for "$(main_of ${name})" 0.3`,
    () => 'halt_for "$(daemon)" 0.3',
    () => 'systemctl daemon-reload',
  ];
  const ends = {
    killed: 'systemctl kill --kill-whom=main --signal=KILL vmsecretd',
    restarted: 'systemctl restart vmsecretd',
    stopped: 'systemctl stop vmsecretd',
    neither: ':',
  };
  for (let round = 1; round <= ROUNDS; round += 1) {
    const verbs = Array.from({ length: 10 }, () => `api POST "/v1/vms/${pick(NAMES)}/${pick(API_VERBS)}"`);
    const jobs = Array.from({ length: 4 }, () => `systemctl ${pick(SYSTEMD_VERBS)} microvm@${pick(NAMES)}`);
    const troubles = Array.from({ length: 12 }, () => pick(disturbances)(pick(NAMES)));
    const end = pick(Object.keys(ends) as (keyof typeof ends)[]);
    const steps = [...verbs, ...jobs, ...troubles, ends[end]].map(
      step => `( sleep ${seconds()}; ${step} ) &`,
    );
    await sh(`{\n${steps.join('\n')}\nwait\n} > /dev/null 2>&1`);
    await sh(`${restoreAll}; systemctl start vmsecretd; api POST /v1/reload > /dev/null`);
    const label = `round ${round}, daemon ${end}`;
    t.strictSame(await untilTrue(sh), [], `${label}: each VMM belongs to one VM, and all say the same of it`);
    for (const name of NAMES) {
      await sh(`api POST /v1/vms/${name}/resume > /dev/null`);
      const started = JSON.parse(await sh(`api POST /v1/vms/${name}/start`));
      t.match(started, { state: 'running' }, `${label}: ${name} starts`);
    }
    t.strictSame(await untilTrue(sh), [], `${label}: all of them run once`);
    for (const name of NAMES) {
      const printed = (await sh(`printed_secrets ${name}`)).split('\n');
      t.ok(
        printed.length > 0 && printed.every(line => SECRETS.has(line)),
        `${label}: ${name} has its secret`,
      );
    }
  }
});

interface Facts {
  name: string;
  activeState: string;
  subState: string;
  mainPid: number;
  /** What the VMM itself says; empty where none answers. */
  vmmSays: string;
  vm: { state: string; pid: number | null } | undefined;
}

/** The state of the unit and of the guest to each state of a VM. */
const AGREE: Record<string, [activeState: string, vmmSays: string]> = {
  running: ['active', 'Running'],
  paused: ['active', 'Paused'],
  stopped: ['inactive', ''],
  failed: ['failed', ''],
};

/** Looks until all is settled and true. What stays untrue for so long is. */
async function untilTrue(sh: (script: string) => Promise<string>): Promise<string[]> {
  const end = Date.now() + 60_000;
  for (;;) {
    const untruths = await findUntruths(sh);
    if (untruths.length === 0) return [];
    if (Date.now() > end) return [...untruths, await sh('diagnose')];
    await sh('sleep 1');
  }
}

async function findUntruths(sh: (script: string) => Promise<string>): Promise<string[]> {
  const [list = '', processes = '', ...lines] = (await sh(`facts ${NAMES.join(' ')}`)).split('\n');
  const { vms } = JSON.parse(list) as { vms: { name: string; state: string; pid: number | null }[] };
  const pids = processes.split(' ').filter(Boolean).map(Number);
  const facts = lines.map((line): Facts => {
    const [name = '', activeState = '', subState = '', mainPid, vmmSays = ''] = line.split(' ');
    return {
      name,
      activeState,
      subState,
      mainPid: Number(mainPid),
      vmmSays,
      vm: vms.find(vm => vm.name === name),
    };
  });
  return [
    ...facts.flatMap(({ name, activeState, subState, mainPid, vmmSays, vm }) => {
      if (vm === undefined) return [`${name} is lost`];
      const [active, says] = AGREE[vm.state] ?? [];
      return activeState === active && vmmSays === says && (vm.pid ?? 0) === mainPid
        ? []
        : [
            `${name} is ${vm.state} with pid ${vm.pid}, its unit ${activeState} ${subState} with pid ${mainPid}, its VMM ${vmmSays}`,
          ];
    }),
    ...pids
      .filter(pid => !facts.some(({ mainPid }) => mainPid === pid))
      .map(pid => `process ${pid} belongs to no unit`),
    ...facts
      .filter(({ mainPid }) => mainPid !== 0 && !pids.includes(mainPid))
      .map(({ name }) => `${name} has no process`),
  ];
}
