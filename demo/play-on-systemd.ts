// Boots a Debian in a container and plays the life of a VM under systemd there: each command is shown, then run as it was
// shown. Ends with 1 as soon as one does not end as it should.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPvhGuest } from '../test/guests/pvh/pvh-guest.js';
import { bootDebian, type DebianSystem } from '../test/systemd/debian-system.js';
import { bindHypervisor, findRealHypervisor } from '../test/systemd/vm-host.js';

const DEFINITION = `{
  "command": ["--kernel", "/opt/demo/guest", "--memory", "size=64M", "--serial", "tty", "--console", "off"],
  "oemStrings": ["io.systemd.credential:ENVIRONMENT=demo"],
  "credentials": { "API_KEY": { "age": "/etc/secrets/api-key.age", "trim": "newline" } }
}
`;

const UNTIL_RUNNING = `vmsecretctl list | grep -q '^demo  *running'`;
const JOURNAL = 'journalctl --unit microvm@demo --output cat --no-pager';

interface Step {
  title?: string;
  remark?: string;
  command: string;
  /** The exit status that is expected. */
  status?: number;
  /** What is waited for, unseen, before the command. */
  after?: string;
}

const STEPS: readonly Step[] = [
  { title: '1. vmsecretd is installed', command: '/project/systemd/install.sh' },
  { title: '2. A key, and a secret encrypted to it', command: 'age-keygen --output /etc/vmsecretd/identity' },
  { command: `echo '{"identities": ["/etc/vmsecretd/identity"]}' > /etc/vmsecretd/config.json` },
  {
    command:
      'mkdir /etc/secrets && head -c 24 /dev/urandom | base64 | age --encrypt --identity /etc/vmsecretd/identity --output /etc/secrets/api-key.age',
  },
  {
    title: '3. A definition',
    command:
      'install -D -m 600 /opt/demo/demo.json /etc/vmsecretd/vms/demo.json && cat /etc/vmsecretd/vms/demo.json',
  },
  { title: '4. The daemon is a service', command: 'systemctl start vmsecretd' },
  { command: 'systemctl show vmsecretd --property ActiveState --property StatusText' },
  { command: 'vmsecretctl list' },
  {
    title: '5. The VM is a unit',
    remark: 'The call ends when the guest is booted.',
    command: 'systemctl start microvm@demo',
  },
  { command: 'systemctl is-active microvm@demo; vmsecretctl list' },
  {
    remark: 'The VMM is the main process of the unit, and not root.',
    command: 'ps -o user,pid,comm -p "$(systemctl show microvm@demo --property MainPID --value)"',
  },
  {
    remark:
      'What the guest prints is in the journal of the unit. This guest prints the credentials that it got.',
    after: `${JOURNAL} | grep -q 'END OF OEM STRINGS'`,
    command: `${JOURNAL} | grep -B 9 'END OF OEM STRINGS'`,
  },
  {
    title: '6. The daemon is killed: no VM notices',
    command: 'systemctl kill --kill-whom=main --signal=KILL vmsecretd',
  },
  {
    remark: 'systemd starts another one, which takes the VM over.',
    after: `systemctl is-active --quiet vmsecretd && ${UNTIL_RUNNING}`,
    command: 'vmsecretctl list; journalctl --unit vmsecretd --output cat --no-pager | tail -n 4',
  },
  {
    title: '7. What you will meet one day: a secret is missing',
    command: 'mv /etc/secrets/api-key.age /etc/secrets/away',
  },
  { command: 'systemctl restart microvm@demo', status: 1 },
  { command: `${JOURNAL} | grep API_KEY | tail -n 1` },
  { command: 'vmsecretctl list' },
  {
    remark: 'It is back, and systemd tries again.',
    command: 'mv /etc/secrets/away /etc/secrets/api-key.age',
  },
  { after: UNTIL_RUNNING, command: 'vmsecretctl list' },
];

const isPlain = !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== '' || process.env.TERM === 'dumb';

function show(text: string, colour: number): void {
  console.log(isPlain ? text : `\x1b[${colour}m${text}\x1b[0m`);
}

async function play(
  system: DebianSystem,
  { title, remark, command, status = 0, after }: Step,
): Promise<void> {
  if (title !== undefined) show(`\n${title}`, 1);
  if (remark !== undefined) show(`# ${remark}`, 2);
  if (after !== undefined) await system.run(`until ${after}; do sleep 0.1; done`);
  show(`$ ${command}`, 32);
  const result = await system.run(command);
  process.stdout.write(result.output);
  if (result.status !== status) {
    throw new Error(`expected exit status ${status}, got ${result.status}`);
  }
  if (status !== 0) show(`# exit status ${status}`, 2);
}

async function powerOff(system: DebianSystem): Promise<void> {
  show('\n8. The host is powered off: the guest first, by its power button', 1);
  show('$ systemctl poweroff', 32);
  const bootedLength = system.consoleText().length;
  await system.powerOff();
  const lines = system.consoleText().slice(bootedLength).split(/\r?\n/);
  const [stopped = -1, daemonStopped = -1] = [/Stopped .*microvm@demo/, /Stopped .*vmsecretd\.service/].map(
    wanted => lines.findIndex(line => wanted.test(line)),
  );
  for (const line of lines) if (/microvm@demo|vmsecretd\.service/.test(line)) console.log(line);
  if (stopped < 0 || daemonStopped < stopped) throw new Error('the VM did not stop before the daemon');
}

const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-demo-'));
let system: DebianSystem | undefined;
const end = async () => {
  await system?.close();
  rmSync(folder, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => end().then(() => process.exit(1)));
try {
  // The VMM's user reads the guest.
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'guest'), buildPvhGuest({ after: 'await-power-button' }), { mode: 0o644 });
  writeFileSync(join(folder, 'demo.json'), DEFINITION);
  const vmm =
    findRealHypervisor() ??
    'the stand-in for cloud-hypervisor, since that is not on PATH or /dev/kvm not here';
  show(
    `# A Debian boots in a container; the first time it is built, which takes a minute. The VMM is ${vmm}.`,
    2,
  );
  system = await bootDebian({ binds: { '/opt/demo': folder, ...bindHypervisor(folder) } });
  await system.run('chmod 666 /dev/kvm');
  for (const step of STEPS) await play(system, step);
  await powerOff(system);
  show('\nA VM lived and ended as a unit, and the daemon came and went beside it.', 1);
} catch (error) {
  show(`\n${(error as Error).message}`, 31);
  process.exitCode = 1;
} finally {
  await end();
}
