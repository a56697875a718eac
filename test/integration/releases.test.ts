// What differs between the releases of cloud-hypervisor, on each real program that is there.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { oemStringsOf } from '../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { callUnix } from './unix-api.js';
import { apiSocketOf, CLOUD_HYPERVISORS, defineVm, type Vmm } from './vmm.js';

const UUID = '123e4567-e89b-12d3-a456-426614174000';

t.setTimeout(TIMEOUT_MS * (1 + CLOUD_HYPERVISORS.length));
for (const vmm of CLOUD_HYPERVISORS) {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  const withPlatform = (platform: string): Vmm => ({
    ...vmm,
    command: kernel => [...vmm.command(kernel), '--platform', platform],
  });

  daemonTest(
    `${vmm.name}: a guest has the UUID and the serial number of its command line`,
    options,
    async (t, rig) => {
      const { daemon } = rig;
      await defineVm(withPlatform(`uuid=${UUID},serial_number=SN1`), rig, 'web');
      await daemon.act('web', 'start');
      const socketPath = apiSocketOf(rig, 'web');
      const { body } = await callUnix({
        socketPath,
        method: 'GET',
        path: '/api/v1/vm.info',
        timeoutMs: TIMEOUT_MS,
      });
      const { uuid, serial_number, system_uuid, system_serial_number } = JSON.parse(body.toString()).config
        .platform;
      t.strictSame([uuid ?? system_uuid, serial_number ?? system_serial_number], [UUID, 'SN1']);
      t.comment(`${vmm.name}: ${JSON.stringify({ uuid, system_uuid })}`);
    },
  );

  daemonTest(
    `${vmm.name}: a vmConfig with a key that no release has is not started`,
    options,
    async (t, rig) => {
      const { daemon, canary } = rig;
      const { command } = await defineVm(vmm, rig, 'web');
      const vmConfig = {
        payload: { kernel: command[1] },
        memory: { size: 2 ** 26, warmth: 3 },
        console: { mode: 'Off' },
      };
      await defineVm(vmm, rig, 'web', { more: { command: undefined, vmConfig } });
      const answer = await daemon.call('POST', '/v1/vms/web/start');
      t.match(answer, {
        status: 502,
        json: { code: 'vmm_refused', detail: /dropped or changed memory\.warmth/ },
      });
      t.notOk(answer.body.includes(canary.text));
      t.strictSame(daemon.vmms(), [], 'its VMM is ended');
    },
  );

  daemonTest(
    `${vmm.name}: a guest prints all of its strings while the daemon has no time`,
    options,
    async (t, rig) => {
      const { daemon } = rig;
      const TEXT = { text: randomBytes(10_000).toString('hex') };
      await defineVm(vmm, rig, 'web', { more: { credentials: { TEXT } } });
      await daemon.act('web', 'start');
      daemon.signal('SIGSTOP');
      await delay(1_000);
      daemon.signal('SIGCONT');
      const printed = await daemon.untilConsole('web', END_OF_OEM_STRINGS);
      const text = oemStringsOf(printed).at(-1);
      t.equal(text, `io.systemd.credential.binary:TEXT=${Buffer.from(TEXT.text).toString('base64')}`);
    },
  );
}
