// Everything that an operator's day can bring, at once and in the middle of verbs: the daemon, its deliverer and VMMs are killed, ended
// and halted, definitions, secrets and disks come, change and go. Afterwards no VM is lost, none runs twice, and what the API says is
// true. VMSECRETD_CHAOS_ROUNDS and VMSECRETD_SEED choose how often and which.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildPvhGuest } from '../guests/pvh/pvh-guest.js';
import { randomFrom } from '../setup/random.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { CLOUD_HYPERVISOR, QEMU } from './vmm.js';

const ROUNDS = Number(process.env.VMSECRETD_CHAOS_ROUNDS ?? 3);
const SEED = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
const VERBS = [
  'start',
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
] as const;
const LONGEST_ROUND_MS = 800;
const TIMEOUT_MS = 120_000 + ROUNDS * 60_000;

const vmm = CLOUD_HYPERVISOR.skip === false ? CLOUD_HYPERVISOR : QEMU;
const NAMES = ['vm0', 'vm1', 'vm2', 'vm3'];

/** The files of one VM, each of which can be as it should be, changed or gone. */
class Files {
  readonly #rig: Rig;
  readonly #name: string;

  constructor(rig: Rig, name: string) {
    this.#rig = rig;
    this.#name = name;
  }

  get definition(): string {
    return join(this.#rig.daemon.definitions, `${this.#name}.json`);
  }

  get disk(): string {
    return join(this.#rig.daemon.folder, `${this.#name}.img`);
  }

  get secret(): string {
    return join(this.#rig.daemon.secrets, `${this.#name}.age`);
  }

  writeDefinition(more: Record<string, unknown> = {}): void {
    const { daemon } = this.#rig;
    const disk =
      vmm === QEMU ? ['-drive', `file=${this.disk},format=raw,if=none`] : ['--disk', `path=${this.disk}`];
    const vsock =
      vmm === QEMU ? [] : ['--vsock', `cid=3,socket=${join(daemon.folder, `${this.#name}.vsock`)}`];
    const definition = {
      hypervisor: vmm.hypervisor,
      supervisor: 'daemon',
      command: [...vmm.command(join(daemon.folder, 'guest.elf')), ...disk, ...vsock],
      credentials: { CANARY: { age: this.secret } },
      stopTimeoutSeconds: 1,
      startTimeoutSeconds: 30,
      ...more,
    };
    // As one who is careful does it.
    writeFileSync(`${this.definition}.new`, JSON.stringify(definition));
    renameSync(`${this.definition}.new`, this.definition);
  }

  async writeSecret(text: string): Promise<void> {
    await this.#rig.daemon.seal(this.#name, text);
  }

  writeDisk(): void {
    writeFileSync(this.disk, Buffer.alloc(1024 * 1024));
  }

  async restore(): Promise<void> {
    this.writeDefinition();
    await this.writeSecret(this.#rig.canary.text);
    this.writeDisk();
  }
}

daemonTest(
  `${vmm.name}: ${ROUNDS} rounds of everything at once lose no VM and double none (seed ${SEED})`,
  { skip: vmm.skip, config: { hypervisors: vmm.hypervisors }, timeoutMs: 90_000, fileTimeoutMs: TIMEOUT_MS },
  async (t, rig) => {
    const { daemon } = rig;
    t.setTimeout(TIMEOUT_MS);
    const random = randomFrom(SEED);
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
    writeFileSync(join(daemon.folder, 'guest.elf'), buildPvhGuest({ after: 'await-power-button' }));
    const files = new Map(NAMES.map(name => [name, new Files(rig, name)]));
    const filesOf = (name: string) => files.get(name) as Files;
    for (const one of files.values()) await one.restore();
    await daemon.call('POST', '/v1/reload');
    const ask = (method: string, path: string) => daemon.call(method, path).catch(() => undefined);
    const halt = async (pid: number) => {
      kill(pid, 'SIGSTOP');
      await delay(random() * 300);
      kill(pid, 'SIGCONT');
    };
    const disturbances: readonly ((name: string) => unknown)[] = [
      name => filesOf(name).writeDefinition({ oemStrings: [`round-${random()}`] }),
      name => rmSync(filesOf(name).definition, { force: true }),
      name => filesOf(name).writeDefinition({ restart: pick(['no', 'always', 'on-failure']) }),
      () => ask('POST', '/v1/reload'),
      () => ask('POST', '/v1/reload'),
      name => filesOf(name).writeSecret(`${rig.canary.text}${random()}`),
      name => rmSync(filesOf(name).secret, { force: true }),
      name => rmSync(filesOf(name).disk, { force: true }),
      name => filesOf(name).writeDisk(),
      () => kill(pick(childrenOf(daemon.pid, 'deliverer')), 'SIGKILL'),
      () => halt(pick(childrenOf(daemon.pid, 'deliverer'))),
      () => kill(pick(vmmsOf(rig)), pick(['SIGKILL', 'SIGTERM', 'SIGABRT'])),
      () => halt(pick(vmmsOf(rig))),
      () => halt(daemon.pid),
    ];
    for (let round = 1; round <= ROUNDS; round += 1) {
      const work = Array.from({ length: 14 }, async () => {
        await delay(random() * LONGEST_ROUND_MS);
        return ask('POST', `/v1/vms/${pick(NAMES)}/${pick(VERBS)}`);
      });
      const trouble = Array.from({ length: 12 }, async () => {
        await delay(random() * LONGEST_ROUND_MS);
        await pick(disturbances)(pick(NAMES));
      });
      await delay(random() * LONGEST_ROUND_MS);
      const end = pick(['killed', 'stopped', 'neither']);
      if (end === 'killed') await daemon.kill9();
      if (end === 'stopped') await daemon.stop();
      await Promise.all(trouble);
      for (const one of files.values()) await one.restore();
      if (!daemon.isRunning) await daemon.restart();
      await Promise.all(work);
      await daemon.call('POST', '/v1/reload');
      await settle(rig);
      t.strictSame(
        await findUntruths(rig),
        [],
        `round ${round} (daemon ${end}): each VMM belongs to one VM that says so`,
      );
      for (const name of NAMES) {
        const { state } = await daemon.show(name);
        if (state === 'paused') await daemon.act(name, 'resume');
        // A start that another one joined may fail of what was so before.
        t.match(
          await daemon.call('POST', `/v1/vms/${name}/start`),
          { status: 200, json: { state: 'running' } },
          `round ${round}: ${name}`,
        );
        await daemon.act(name, 'pause');
        await daemon.act(name, 'resume');
      }
      t.strictSame(await findUntruths(rig), [], `round ${round}: all of them run once`);
    }
  },
);

async function settle({ daemon }: Rig): Promise<void> {
  await daemon.until('no VM is between two states', async () => {
    const states = await Promise.all(NAMES.map(async name => (await daemon.show(name)).state));
    return !states.some(state => state === 'starting' || state === 'stopping');
  });
}

async function findUntruths(rig: Rig): Promise<string[]> {
  const { daemon } = rig;
  const { vms } = (await daemon.call('GET', '/v1/vms')).json as {
    vms: { name: string; state: string; pid: number | null }[];
  };
  const live = vms.filter(vm => vm.state === 'running' || vm.state === 'paused');
  const processes = vmmsOf(rig);
  const pids = live.map(vm => vm.pid);
  return [
    ...NAMES.filter(name => !vms.some(vm => vm.name === name)).map(name => `${name} is lost`),
    ...live
      .filter(vm => !processes.includes(vm.pid ?? 0))
      .map(vm => `${vm.name} is ${vm.state} without a process`),
    ...vms
      .filter(vm => !live.includes(vm) && vm.pid !== null)
      .map(vm => `${vm.name} is ${vm.state} with a pid`),
    ...processes.filter(pid => !pids.includes(pid)).map(pid => `process ${pid} belongs to no VM`),
    ...(new Set(pids).size === pids.length ? [] : ['two VMs have one process']),
  ];
}

function vmmsOf({ daemon }: Rig): number[] {
  return daemon.vmms().filter(pid => /cloud-hyperviso|qemu-system/.test(read(`/proc/${pid}/comm`)));
}

function childrenOf(parent: number, word: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(pid => Number.isInteger(pid) && read(`/proc/${pid}/cmdline`).includes(word))
    .filter(pid => read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ')[1] === String(parent));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Nobody may be there, or be gone by now. */
function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined && pid > 1) process.kill(pid, signal);
  } catch {
    // As said.
  }
}
