// The daemon is killed at random points of random requests, again and again: no VM is lost, none runs twice, what the API
// says is true, and the secret is nowhere else. VMSECRETD_KILL_ROUNDS and VMSECRETD_SEED choose how often and which.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../setup/random.js';
import { daemonTest, type Rig, searchEverywhere } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU } from './vmm.js';

const ROUNDS = Number(process.env.VMSECRETD_KILL_ROUNDS ?? 5);
const SEED = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
const VERBS = ['start', 'start', 'start', 'stop', 'restart', 'kill', 'pause', 'resume', 'reboot'] as const;
const LONGEST_ROUND_MS = 600;
const TIMEOUT_MS = 60_000 + ROUNDS * 30_000;

const vmm = CLOUD_HYPERVISOR.skip === false ? CLOUD_HYPERVISOR : QEMU;
// QEMU without KVM takes a second of a CPU for each start.
const NAMES = Array.from({ length: vmm === QEMU ? 3 : 10 }, (_, index) => `vm${index}`);

daemonTest(
  `${vmm.name}: a daemon killed in ${ROUNDS} rounds loses no VM and doubles none (seed ${SEED})`,
  { skip: vmm.skip, config: { hypervisors: vmm.hypervisors }, fileTimeoutMs: TIMEOUT_MS },
  async (t, rig) => {
    const { daemon } = rig;
    t.setTimeout(TIMEOUT_MS);
    const random = randomFrom(SEED);
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
    for (const name of NAMES) await defineVm(vmm, rig, name, { more: { stopTimeoutSeconds: 1 } });
    for (let round = 1; round <= ROUNDS; round += 1) {
      const requests = Array.from({ length: 12 }, () =>
        daemon.call('POST', `/v1/vms/${pick(NAMES)}/${pick(VERBS)}`).catch(() => undefined),
      );
      // The point of the kill is what is random here, not something to wait for.
      await delay(random() * LONGEST_ROUND_MS);
      await daemon.kill9();
      t.strictSame(
        searchEverywhere(rig),
        [],
        `round ${round}: the secret is nowhere else when the daemon is gone`,
      );
      await Promise.all(requests);
      await daemon.restart();
      await settle(rig);
      t.strictSame(await findUntruths(rig), [], `round ${round}: each VMM belongs to one VM that says so`);
    }
  },
);

/** Starts that go on after a restart are awaited by their own verb: a start joins them. */
async function settle({ daemon }: Rig): Promise<void> {
  await daemon.until('no VM is between two states', async () => {
    const states = await Promise.all(NAMES.map(async name => (await daemon.show(name)).state));
    return !states.some(state => state === 'starting' || state === 'stopping');
  });
}

async function findUntruths({ daemon }: Rig): Promise<string[]> {
  const shown = await Promise.all(NAMES.map(name => daemon.show(name)));
  const live = shown.filter(vm => vm.state === 'running' || vm.state === 'paused');
  const processes = daemon.vmms().filter(isVmm);
  const pids = live.map(vm => vm.pid);
  return [
    ...live
      .filter(vm => !processes.includes(vm.pid ?? 0))
      .map(vm => `${vm.name} is ${vm.state} without a process`),
    ...shown
      .filter(vm => !live.includes(vm) && vm.pid !== null)
      .map(vm => `${vm.name} is ${vm.state} with a pid`),
    ...processes.filter(pid => !pids.includes(pid)).map(pid => `process ${pid} belongs to no VM`),
    ...(new Set(pids).size === pids.length ? [] : ['two VMs have one process']),
  ];
}

/** Deliverers, too, may have the folder on their command line for a moment. */
function isVmm(pid: number): boolean {
  try {
    return /cloud-hyperviso|qemu-system/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'));
  } catch {
    return false;
  }
}
