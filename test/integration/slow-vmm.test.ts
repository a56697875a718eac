// A VMM that does not answer at once, under load or halted: what is asked of it takes longer, and nothing is lost.
import { setTimeout as delay } from 'node:timers/promises';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { daemonTest } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU } from './vmm.js';

/** Beyond what one request to a VMM is given. */
const HALTED_MS = 12_000;

for (const vmm of [CLOUD_HYPERVISOR, QEMU]) {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors }, timeoutMs: 60_000 };
  daemonTest(`${vmm.name}: a stop gives a halted VMM stopTimeoutSeconds`, options, async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { more: { stopTimeoutSeconds: 50 } });
    const { pid } = await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    process.kill(pid ?? 0, 'SIGSTOP');
    const stopped = daemon.act('web', 'stop');
    // How long it is halted is the point of the test.
    await delay(HALTED_MS);
    t.match(await daemon.show('web'), { state: 'stopping' });
    process.kill(pid ?? 0, 'SIGCONT');
    t.match(await stopped, { state: 'stopped', lastExit: { status: 0, signal: null } });
    const steps = daemon.events.filter(({ type }) => type === 'stop-step').map(({ step }) => step);
    t.strictSame(steps, ['power-button']);
  });
}
