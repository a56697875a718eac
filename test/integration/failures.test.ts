// What must not start does not: no VMM is left, and the error says what was wrong and what to do.
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import type { Test } from 'tap';
import { daemonTest, type Rig } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN, standIn, type Vmm } from './vmm.js';

type More = { credentials?: Record<string, unknown>; [key: string]: unknown };

interface Failure {
  title: string;
  /** Makes it so; gives what the definition has more. */
  arrange(rig: Rig): Promise<More> | More;
  code: string;
  detail: RegExp;
}

const AGE_FILES: readonly Failure[] = [
  {
    title: 'whose age file is missing',
    arrange: rig => {
      rmSync(ageFile(rig));
      return {};
    },
    code: 'secret_missing',
    detail: /credential CANARY: .*canary\.age does not exist\. Create it/,
  },
  {
    title: 'whose age file lacks its last byte',
    arrange: rig => {
      truncateSync(ageFile(rig), readFileSync(ageFile(rig)).length - 1);
      return {};
    },
    code: 'secret_corrupt',
    detail: /credential CANARY: .*canary\.age does not open: .*Restore it/,
  },
  {
    title: 'whose age file is encrypted to another key',
    arrange: async rig => {
      const encrypter = new Encrypter();
      encrypter.addRecipient(await identityToRecipient(await generateIdentity()));
      writeFileSync(ageFile(rig), await encrypter.encrypt(rig.canary.text));
      return {};
    },
    code: 'secret_no_identity',
    detail: /credential CANARY: .*canary\.age does not open: .*Tried: .*identity\.txt/,
  },
  {
    title: 'whose identity does not exist',
    arrange: rig => ({ identities: [join(rig.daemon.folder, 'nobody.txt')] }),
    code: 'secret_no_identity',
    detail: /there is no identity to try \(.*nobody\.txt does not exist\)/,
  },
  {
    title: 'whose plain secret is a folder',
    arrange: rig => ({ credentials: { PLAIN: { file: rig.daemon.secrets } } }),
    code: 'secret_unreadable',
    detail: /credential PLAIN: .*secrets is refused/,
  },
  {
    title: 'whose secret has over 1 MiB',
    arrange: rig => {
      const path = join(rig.daemon.secrets, 'large');
      writeFileSync(path, Buffer.alloc(1024 * 1024 + 1));
      return { credentials: { LARGE: { file: path } } };
    },
    code: 'secret_too_large',
    detail: /credential LARGE: .*large is refused/,
  },
];

const CREDENTIALS: readonly Failure[] = [
  {
    title: 'whose credentials do not fit, saying what takes the room',
    arrange: async rig => ({
      credentials: { HUGE: { age: await rig.daemon.seal('huge', Buffer.alloc(60_000)) } },
    }),
    code: 'credentials_too_large',
    detail: /do not fit into .*HUGE \d{5}/,
  },
];

/** Refused by PUT already: test/definition/parse-definition.test.ts has more. */
const NEVER: readonly [definition: object, code: string, detail: RegExp][] = [
  [
    { oemStrings: ['io.systemd.credential:CANARY=open'] },
    'credential_duplicate',
    /credential CANARY is there twice/,
  ],
  [{ credentials: { 'A=B': { text: 'x' } } }, 'credential_name_invalid', /A=B/],
  [
    { oemStrings: Array.from({ length: 255 }, (_, at) => `string-${at}`) },
    'credentials_too_many',
    /256 OEM strings/,
  ],
];

daemonTest(
  'does not take a definition that could never start',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    const definition = await defineVm(STAND_IN, rig, 'web');
    for (const [more, code, detail] of NEVER) {
      const answer = await daemon.call('PUT', '/v1/vms/web', { ...definition, ...more });
      t.match(answer, { status: 422, json: { code, detail } });
    }
    await daemon.act('web', 'start');
    t.match(await daemon.show('web'), { state: 'running' }, 'what was there before stays');
  },
);

const COMMANDS: readonly Failure[] = [
  {
    title: 'whose command line has the name of a secret already',
    arrange: ({ daemon }) => ({
      command: [
        ...STAND_IN.command(join(daemon.folder, 'web.elf')),
        '--platform',
        'oem_strings=[io.systemd.credential:CANARY=open]',
      ],
    }),
    code: 'credential_duplicate',
    detail: /credential CANARY is there twice/,
  },
  {
    title: 'with -v on its command line, which would log the secrets',
    arrange: () => ({ command: ['--kernel', '/dev/null', '-v'] }),
    code: 'command_invalid',
    detail: /-v makes cloud-hypervisor log/,
  },
  {
    title: 'with an option that there is not',
    arrange: () => ({ command: ['--kernle', '/dev/null'] }),
    code: 'command_invalid',
    detail: /^VM web: There is no option "--kernle"/,
  },
  {
    title: 'with no command',
    arrange: () => ({ command: undefined, supervisor: undefined }),
    code: 'definition_invalid',
    detail: /^VM web: .* has neither command nor vmConfig/,
  },
];

function ageFile({ daemon }: Rig): string {
  return join(daemon.secrets, 'canary.age');
}

/** One after the other on one daemon: none of them leaves anything for the next. */
function expectFailures(vmm: Vmm, failures: readonly Failure[]): void {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(`${vmm.name}: does not start what would not get its secrets`, options, async (t, rig) => {
    for (const failure of failures)
      await t.test(`a VM ${failure.title}`, t => expectFailure(t, rig, vmm, failure));
  });
}

async function expectFailure(t: Test, rig: Rig, vmm: Vmm, failure: Failure): Promise<void> {
  const { daemon } = rig;
  const { code, detail } = failure;
  const definition = await defineVm(vmm, rig, 'web');
  const { credentials = {}, ...others } = await failure.arrange(rig);
  await daemon.define('web', {
    ...definition,
    ...others,
    credentials: { ...definition.credentials, ...credentials },
  });
  await refusesToStart(t, rig, code, detail);
  const report = (await daemon.call('POST', '/v1/vms/web/check')).json as { checks: { ok: boolean }[] };
  t.match(report, { ok: false });
  t.match(
    report.checks.find(check => !check.ok),
    { code, detail },
    'a check says the same',
  );
  t.match(await daemon.call('DELETE', '/v1/vms/web'), { status: 204 });
}

async function refusesToStart(t: Test, { daemon }: Rig, code: string, detail: RegExp): Promise<void> {
  const answer = await daemon.call('POST', '/v1/vms/web/start');
  t.match(answer, { type: /^application\/problem\+json/, json: { code, detail, status: answer.status } });
  t.ok(answer.status >= 400, `status ${answer.status}`);
  t.strictSame(daemon.vmms(), [], 'no VMM was left');
  t.match(await daemon.show('web'), { state: 'failed', pid: null, problem: { code, detail } });
}

expectFailures(STAND_IN, [...AGE_FILES, ...CREDENTIALS, ...COMMANDS]);
expectFailures(QEMU, CREDENTIALS);

for (const vmm of [QEMU, STAND_IN]) {
  const config = { hypervisors: { [vmm.hypervisor]: { path: '/nowhere/vmm' } } };
  daemonTest(`${vmm.name}: does not start a VM whose hypervisor is missing`, { config }, async (t, rig) => {
    await defineVm(vmm, rig, 'web');
    const detail = new RegExp(`/nowhere/vmm .*install ${vmm.hypervisor}, or set hypervisors`);
    await refusesToStart(t, rig, 'vmm_missing', detail);
  });
}

for (const vmm of [CLOUD_HYPERVISOR, STAND_IN, QEMU]) {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(`${vmm.name}: leaves no VMM where the kernel is missing`, options, async (t, rig) => {
    const definition = await defineVm(vmm, rig, 'web');
    await rig.daemon.define('web', { ...definition, command: vmm.command('/nowhere/kernel') });
    await refusesToStart(t, rig, 'resource_conflict', /kernel \/nowhere\/kernel does not exist/);
  });
}

daemonTest('qemu: notices at once that it ended, and leaves no FIFO', { skip: QEMU.skip }, async (t, rig) => {
  const definition = await defineVm(QEMU, rig, 'web');
  const command = [...definition.command, '-cpu', 'nonsense'];
  await rig.daemon.define('web', { ...definition, command });
  await refusesToStart(t, rig, 'vmm_refused', /exited with status 1: .*nonsense/);
  const left = readdirSync(join(rig.daemon.runtime, 'vms', 'web'));
  t.notOk(
    left.some(name => name.startsWith('oem-string')),
    left.join(' '),
  );
});

interface StandInFailure {
  title: string;
  program?: string;
  kernelName?: string;
  /** --platform */
  platform?: string;
  code: string;
  detail: RegExp;
}

const STAND_IN_FAILURES: readonly StandInFailure[] = [
  {
    title: 'exits in the middle of its start, and passes its last words on',
    kernelName: 'exits-early',
    code: 'vmm_refused',
    detail: /exited with status 1: ./,
  },
  {
    title: 'aborts in the middle of its start, and names its signal',
    kernelName: 'aborts',
    code: 'vmm_refused',
    detail: /was ended by SIGABRT: .*assertion failed/,
  },
  {
    title: 'refuses to boot',
    kernelName: 'refuses-boot',
    code: 'vmm_refused',
    detail: /vm\.boot with status 500/,
  },
  {
    title: 'never answers vm.boot',
    kernelName: 'hangs-on-boot',
    code: 'vmm_timeout',
    detail: /startTimeoutSeconds \(2 s\)/,
  },
  {
    title: 'never listens',
    program: 'never-listens',
    code: 'vmm_timeout',
    detail: /startTimeoutSeconds \(2 s\)/,
  },
  {
    title: 'refuses vm.create, whose answer quotes a secret',
    program: 'refuses-create',
    code: 'vmm_refused',
    detail: /vm\.create with status 400/,
  },
  {
    title: 'takes vm.create and drops a key',
    program: 'drops-key',
    platform: 'system_uuid=123e4567-e89b-12d3-a456-426614174000,chassis_asset_tag=t',
    code: 'vmm_refused',
    detail: /dropped or changed platform\.system_uuid, so the VM was not started/,
  },
  {
    title: 'takes vm.create and changes an OEM string',
    program: 'changes-string',
    platform: 'oem_strings=[a,b]',
    code: 'vmm_refused',
    detail: /dropped or changed platform\.oem_strings\[2\]/,
  },
];

for (const {
  title,
  program = 'cloud-hypervisor',
  kernelName = 'web.elf',
  platform,
  code,
  detail,
} of STAND_IN_FAILURES) {
  const config = { hypervisors: { 'cloud-hypervisor': { path: standIn(program) } } };
  daemonTest(`leaves no VMM that ${title}`, { config }, async (t, rig) => {
    // Only where it is waited for: on a busy machine two seconds pass before a refusal, too.
    const startTimeoutSeconds = code === 'vmm_timeout' ? 2 : 30;
    const vmm: Vmm =
      platform === undefined
        ? STAND_IN
        : { ...STAND_IN, command: kernel => [...STAND_IN.command(kernel), '--platform', platform] };
    await defineVm(vmm, rig, 'web', { kernelName, more: { startTimeoutSeconds } });
    await refusesToStart(t, rig, code, detail);
  });
}

daemonTest(
  'a start that is late tells what its VMM, or the preStart before it, said last',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const more = { startTimeoutSeconds: 3, preStart: [['/bin/sh', '-c', 'echo waits for its disk']] };
    await defineVm(STAND_IN, rig, 'web', { kernelName: 'hangs-on-boot', more });
    await refusesToStart(
      t,
      rig,
      'vmm_timeout',
      /startTimeoutSeconds \(3 s\); last in its log: waits for its disk/,
    );
    const preStart = [['/bin/sh', '-c', 'echo hangs; exec sleep 60']];
    await defineVm(STAND_IN, rig, 'web', { more: { ...more, preStart } });
    await refusesToStart(t, rig, 'vmm_timeout', /\(3 s\); last in its log: hangs/);
  },
);

for (const credentials of [true, false]) {
  const title = `says why console and memory are not to be had, ${credentials ? 'with' : 'without'} secrets`;
  const options = {
    skip: CLOUD_HYPERVISOR.skip,
    config: { hypervisors: CLOUD_HYPERVISOR.hypervisors },
  };
  daemonTest(`cloud-hypervisor: ${title}`, options, async (t, rig) => {
    const { daemon } = rig;
    const definition = await defineVm(CLOUD_HYPERVISOR, rig, 'web');
    const [, kernel = ''] = definition.command;
    const define = (...command: string[]) =>
      daemon.define('web', {
        ...definition,
        command: ['--kernel', kernel, '--console', 'off', ...command],
        credentials: credentials ? definition.credentials : {},
      });
    await define('--serial', 'file=/nodir/x');
    await refusesToStart(
      t,
      rig,
      'vmm_refused',
      /No such file or directory.*folder of the serial file \/nodir does not exist/,
    );
    await define('--serial', 'null', '--memory', 'size=64M,hugepages=on,hugepage_size=1G');
    await refusesToStart(t, rig, 'vmm_refused', /vm\.boot with status 500: .*[Mm]emory|was ended by SIG/);
  });
}

daemonTest(
  'ends a VMM by SIGKILL that listens to nothing',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    await defineVm(STAND_IN, rig, 'web', { kernelName: 'hangs-on-stop', more: { stopTimeoutSeconds: 1 } });
    await rig.daemon.act('web', 'start');
    t.match(await rig.daemon.act('web', 'stop'), { state: 'stopped', lastExit: { signal: 'SIGKILL' } });
  },
);

daemonTest(
  'keeps the last words of a VMM over starts that come to none',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web', { kernelName: 'exits-early' });
    await refusesToStart(t, rig, 'vmm_refused', /exited with status 1/);
    const log = join(daemon.runtime, 'logs', 'web.vmm.log');
    const words = readFileSync(log, 'utf8');
    t.match(words, /./);
    rmSync(ageFile(rig));
    for (let time = 0; time < 2; time += 1) {
      await refusesToStart(t, rig, 'secret_missing', /canary\.age does not exist/);
      t.equal(readFileSync(`${log}.old`, 'utf8'), words);
    }
  },
);
