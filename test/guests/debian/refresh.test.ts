// Secrets on demand and new secrets for a running guest, in real Debian guests over virtio-serial. VMSECRETD_SUITES names them.
import { createHash, randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Test } from 'tap';
import tap from 'tap';
import { Canary } from '../../canary.js';
import { daemonTest, type Rig } from '../../integration/daemon-test.js';
import { whyNotOnPath, whyNotRoot } from '../../setup/programs.js';
import { isInMemory } from '../../setup/search-memory.js';
import type { CpioEntry } from './cpio.js';
import { DONE_LINE, portableGuestFiles, testGuestFiles } from './guest-files.js';
import { buildGuestImage, GUEST_KERNEL_PARAMETERS, writeInitramfs } from './guest-image.js';

// Root for debootstrap, where the guest is not in the cache yet.
const skip = whyNotOnPath('qemu-system-x86_64') || whyNotRoot();
const suites = (process.env.VMSECRETD_SUITES ?? 'bookworm').split(' ').filter(suite => suite !== '');
const isSoak = suites.length > 1;

const SOCKET = '/run/vmsecretd/credentials.sock';
/** Its guest prints a digest of it alone: what is shown of a console passes through the daemon. */
const unprinted = new Canary();
const LARGE = Buffer.concat([randomBytes(499_000), Buffer.from(`\0\n\r${unprinted.text}\0 end.`)]);

function service(name: string, lines: readonly string[]): CpioEntry[] {
  const path = `usr/lib/systemd/system/${name}.service`;
  const text = [
    '[Service]',
    'StandardOutput=tty',
    'TTYPath=/dev/ttyS0',
    ...lines,
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ];
  return [
    { path, content: text.join('\n') },
    { path: `etc/systemd/system/multi-user.target.wants/${name}.service`, symlink: `/${path}` },
  ];
}

/** Prints a line with what it was given, as often as it is started, and stays. */
function printer(name: string, source: string, lines: readonly string[]): CpioEntry[] {
  const print = `ExecStart=/bin/sh -c 'echo "${name} has $(cat ${source})."; exec sleep infinity'`;
  return service(name, ['Type=exec', ...lines, print]);
}

const FILES: CpioEntry[] = [
  ...printer('on-demand', `\${CREDENTIALS_DIRECTORY}/api-key`, [`LoadCredential=api-key:${SOCKET}`]),
  ...printer('at-boot', `\${CREDENTIALS_DIRECTORY}/mine`, ['LoadCredential=mine:BOOT']),
  ...printer('placed', '/run/agenix/placed', [
    'ExecReload=/bin/sh -c \'echo "reloaded has $(cat /run/agenix/placed)."\'',
  ]),
  ...printer('other', `\${CREDENTIALS_DIRECTORY}/OTHER`, ['LoadCredential=OTHER']),
  ...service('large', [
    'Type=oneshot',
    `LoadCredential=large:${SOCKET}`,
    `ExecStart=/bin/sh -c 'echo "large has $(sha256sum <\${CREDENTIALS_DIRECTORY}/large)"'`,
  ]),
  ...service('refused', [
    'Type=oneshot',
    `LoadCredential=of-another-vm:${SOCKET}`,
    'ExecStart=/bin/echo refused was started',
  ]),
  {
    path: 'etc/vmsecretd-guest/secrets',
    content: 'PLACED:/run/agenix/placed:root:root:0440::placed.service\n',
  },
  { path: 'etc/vmsecretd-guest/keys', content: 'BOOT:/run/keys/host:0440\n' },
  ...service('early', [
    'Type=oneshot',
    'ExecStart=/bin/sh -c \'echo "early has $(cat /run/keys/host) $(stat -c %%a /run/keys/host)."\'',
  ]),
];

const has = (unit: string, value: string) => `${unit} has ${value}.`;

type Name = 'BOOT' | 'api-key' | 'PLACED';
type Secrets = Record<Name, Canary>;
const NAMES: readonly Name[] = ['BOOT', 'api-key', 'PLACED'];

interface Guest {
  kernel: string;
  initramfs: string;
}

async function define({ daemon }: Rig, { kernel, initramfs }: Guest, startTimeoutSeconds: number) {
  const age = (name: string) => ({ age: join(daemon.secrets, `${name}.age`) });
  await daemon.define('web', {
    hypervisor: 'qemu',
    supervisor: 'daemon',
    restart: 'no',
    ready: 'receipt',
    startTimeoutSeconds,
    stopTimeoutSeconds: 1,
    command: [
      ...'-accel tcg -cpu max -smp 1 -m 640 -nodefaults'.split(' '),
      ...['-kernel', kernel, '-initrd', initramfs, '-append', GUEST_KERNEL_PARAMETERS],
    ],
    credentials: {
      BOOT: age('BOOT'),
      OTHER: { text: 'unchanged' },
      'api-key': { ...age('api-key'), onDemand: true },
      PLACED: { ...age('PLACED'), onDemand: true },
      large: { ...age('large'), onDemand: true },
    },
  });
}

async function change({ daemon }: Rig, names: readonly Name[]): Promise<Secrets> {
  const secrets = { BOOT: new Canary(), 'api-key': new Canary(), PLACED: new Canary() };
  for (const name of names) await daemon.seal(name, secrets[name].text);
  return secrets;
}

for (const suite of suites) {
  daemonTest(
    `a Debian guest (${suite}) is given secrets while it runs`,
    { skip, timeoutMs: 400_000, fileTimeoutMs: 3_000_000 },
    async (t, rig) => {
      const { daemon } = rig;
      const image = await buildGuestImage(process.cwd(), suite);
      const initramfs = join(daemon.folder, 'initramfs');
      const files = [...portableGuestFiles(resolve('guest')), ...testGuestFiles(), ...FILES];
      await writeInitramfs(initramfs, image, { files, withPerl: true });
      const first = await change(rig, NAMES);
      await daemon.seal('large', LARGE);
      const guest = { kernel: image.kernel, initramfs };
      await define(rig, guest, 390);
      const { receipt, pid } = (await daemon.call('POST', '/v1/vms/web/start?wait=ready')).json as {
        receipt: string;
        pid: number;
      };
      t.equal(receipt, 'verified');
      const console = await daemon.untilConsole('web', DONE_LINE);
      t.match(
        console,
        has('on-demand', first['api-key'].text),
        'LoadCredential=NAME:SOCKET is the value of now',
      );
      t.match(console, has('at-boot', first.BOOT.text));
      t.match(console, has('placed', first.PLACED.text), 'a file is made of what is on demand');
      t.match(console, `early has ${first.BOOT.text} 440.`, 'a key is at its path before systemd is done');
      t.match(
        console,
        `large has ${createHash('sha256').update(LARGE).digest('hex')}`,
        '500 KB, byte for byte',
      );
      t.match(console, 'VMSECRETD-TEST failed refused.service', 'without its credential no unit starts');
      t.notMatch(console, 'refused was started');

      t.notOk(isInMemory(daemon.pid, unprinted.forms), 'the daemon has nothing of it in its memory');

      await t.test('refresh', t => checkRefresh(t, rig, pid));
      if (!isSoak) return;
      await t.test('a guest that is paused in the middle', t => checkPause(t, rig, guest));
      await t.test('a guest that is reset in the middle', t => checkReset(t, rig));
    },
  );
}
tap.setTimeout(3_000_000);

/** Waits until the guest has printed each, and nothing may have been printed twice. */
async function untilPrinted(t: Test, { daemon }: Rig, lines: readonly string[]): Promise<void> {
  for (const line of lines) await daemon.untilConsole('web', line);
  t.pass(`printed: ${lines.map(line => line.split(' ')[0]).join(', ')}`);
}

const printedOf = (secrets: Secrets) => [
  has('on-demand', secrets['api-key'].text),
  has('at-boot', secrets.BOOT.text),
  has('reloaded', secrets.PLACED.text),
];

async function untilGuestPart({ daemon }: Rig): Promise<void> {
  await daemon.until('the guest part is there', () =>
    daemon.events.some(({ type }) => type === 'guest-part'),
  );
}

async function checkRefresh(t: Test, rig: Rig, pid: number): Promise<void> {
  const { daemon } = rig;
  await untilGuestPart(rig);
  const secrets = await change(rig, NAMES);
  const begunAt = performance.now();
  await daemon.untilVm('web', 'is outdated', ({ outdated }) => outdated.length === 3);
  const { status, stderr } = await daemon.ctl('refresh', '--outdated');
  t.match({ status, stderr }, { status: 0, stderr: '' });
  t.comment(
    `from the new files to the restarted units and the receipt: ${Math.round(performance.now() - begunAt)} ms`,
  );
  const vm = await daemon.show('web');
  t.match(vm, { pid, outdated: [], refresh: { problem: null } });
  t.strictSame(vm.refresh?.credentials.toSorted(), ['BOOT', 'PLACED', 'api-key'], 'the guest has proved it');
  await untilPrinted(t, rig, printedOf(secrets));
  const console = await daemon.untilConsole('web', DONE_LINE);
  t.equal(console.split('other has').length, 2, 'a unit that uses none of them is not restarted');
  t.notMatch(console, `placed has ${secrets.PLACED.text}`, 'nor is one that is reloaded');
  for (const secret of Object.values(secrets)) t.strictSame(secret.searchFiles([daemon.state]), []);
  const everywhere = Object.values(secrets).flatMap(secret =>
    secret.searchText('answers', Buffer.concat(daemon.said)),
  );
  t.strictSame(everywhere, []);
}

async function checkPause(t: Test, rig: Rig, guest: Guest): Promise<void> {
  const { daemon } = rig;
  await define(rig, guest, 20);
  const secrets = await change(rig, NAMES);
  await daemon.untilVm('web', 'is outdated', ({ outdated }) => outdated.length === 3);
  const seen = daemon.events.length;
  const refresh = daemon.call('POST', '/v1/vms/web/refresh');
  await daemon.until('its guest asks', () =>
    daemon.events.slice(seen).some(({ type }) => type === 'on-demand'),
  );
  await daemon.act('web', 'pause');
  t.match(await refresh, { status: 502, json: { code: 'refresh_failed', detail: /within 20 s/ } });
  t.equal((await daemon.show('web')).outdated.length, 3, 'it stays outdated');
  t.match(await daemon.call('POST', '/v1/vms/web/refresh'), { status: 409 }, 'a paused guest is not asked');
  await define(rig, guest, 390);
  await daemon.act('web', 'resume');
  t.match(
    await daemon.call('POST', '/v1/vms/web/refresh'),
    { status: 200, json: { outdated: [] } },
    'once it runs',
  );
  await untilPrinted(t, rig, printedOf(secrets));
}

async function checkReset(t: Test, rig: Rig): Promise<void> {
  const { daemon } = rig;
  const secrets = await change(rig, NAMES);
  await daemon.untilVm('web', 'is outdated', ({ outdated }) => outdated.length === 3);
  const seen = daemon.events.length;
  const refresh = daemon.call('POST', '/v1/vms/web/refresh');
  await daemon.until('its guest asks', () =>
    daemon.events.slice(seen).some(({ type }) => type === 'on-demand'),
  );
  await daemon.act('web', 'reboot');
  t.match(await refresh, { status: 502, json: { code: 'refresh_failed' } });
  await daemon.until('its guest is back', () =>
    daemon.events.slice(seen).some(({ type }) => type === 'guest-part'),
  );
  const { outdated } = await daemon.show('web');
  t.ok(outdated.includes('credential BOOT'), 'SMBIOS has what the VM was started with');
  t.match(await daemon.call('POST', '/v1/vms/web/refresh'), { status: 200, json: { outdated: [] } });
  await untilPrinted(t, rig, [has('at-boot', secrets.BOOT.text), has('on-demand', secrets['api-key'].text)]);
}
