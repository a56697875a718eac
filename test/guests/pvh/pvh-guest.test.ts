import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { whyNoKvm, whyNotOnPath } from '../../setup/programs.js';
import { decodeOemStrings, oemStringsOf } from './decode-oem-strings.js';
import { type AfterPrinting, buildPvhGuest, END_OF_OEM_STRINGS } from './pvh-guest.js';

const STRINGS = ['io.systemd.credential.binary:KEY=AAEC/w==', 'io.systemd.credential:ROLE=front', 'plain'];
const PRINTED = `${STRINGS.join('\n')}\n${END_OF_OEM_STRINGS}\n`;

const QEMU = (kernel: string, strings = STRINGS) => [
  ...['-machine', 'q35,smbios-entry-point-type=64', '-accel', 'tcg', '-m', '64', '-kernel', kernel],
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'file:/dev/stdout'],
  ...strings.flatMap(string => ['-smbios', `type=11,value=${string}`]),
];

const CLOUD_HYPERVISOR = (kernel: string, strings = STRINGS) => [
  ...['--kernel', kernel, '--memory', 'size=64M', '--serial', 'tty', '--console', 'off'],
  ...['--platform', `oem_strings=[${strings.join(',')}]`],
];

interface Vmm {
  readonly program: string;
  readonly argv: (kernel: string, strings?: string[]) => string[];
  readonly why: string | false;
}

/** Runs the guest until the VMM exits or has printed `until`; a killed VMM has status null. */
async function run(t: Test, vmm: Vmm, after: AfterPrinting, until?: string, digests = false) {
  // The console is a file, for QEMU cannot open the socketpair that Node makes of a pipe.
  const folder = t.testdir({ console: '', kernel: buildPvhGuest({ after, digests }) });
  const path = join(folder, 'console');
  const file = openSync(path, 'w');
  const argv = vmm.argv(join(folder, 'kernel'));
  const child = spawn(vmm.program, argv, {
    stdio: ['ignore', file, 'ignore'],
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  closeSync(file);
  const output = () => readFileSync(path, 'latin1');
  const watcher = watch(path, () => until && output().includes(until) && child.kill('SIGKILL'));
  try {
    const [status] = await once(child, 'close');
    return { output: output(), status };
  } finally {
    watcher.close();
  }
}

const VMMS: readonly Vmm[] = [
  { program: 'qemu-system-x86_64', argv: QEMU, why: whyNotOnPath('qemu-system-x86_64') },
  {
    program: 'cloud-hypervisor',
    argv: CLOUD_HYPERVISOR,
    why: whyNotOnPath('cloud-hypervisor') || whyNoKvm(),
  },
];

for (const vmm of VMMS) {
  test(`under ${vmm.program} the guest prints its OEM strings and powers off`, { skip: vmm.why }, async t => {
    t.strictSame(await run(t, vmm, 'power-off'), { output: PRINTED, status: 0 });
  });

  // Around the lengths at which SHA-256 takes another block of 64 bytes.
  test(`under ${vmm.program} the guest can print SHA-256`, { skip: vmm.why }, async t => {
    const values = [0, 1, 54, 55, 56, 63, 64, 119, 120, 5000].map(length =>
      'x=y'.repeat(length).slice(0, length),
    );
    const digestOf = (value: string) => createHash('sha256').update(value).digest('hex');
    const argv = (kernel: string) =>
      vmm.argv(
        kernel,
        values.map((value, index) => `n${index}=${value}`),
      );
    const printed = values.map((value, index) => `n${index}=${digestOf(value)}\n`).join('');
    t.strictSame(await run(t, { ...vmm, argv }, 'power-off', undefined, true), {
      output: `${printed}${END_OF_OEM_STRINGS}\n`,
      status: 0,
    });
  });

  test(`under ${vmm.program} the guest can reboot`, { skip: vmm.why }, async t => {
    const result = await run(t, vmm, 'reboot', PRINTED + PRINTED);
    t.ok(result.output.startsWith(PRINTED + PRINTED), 'the strings come again');
  });
}

test('decodes binary and text credentials and passes over other OEM strings', async t => {
  t.strictSame(oemStringsOf(PRINTED), STRINGS);
  t.strictSame(
    decodeOemStrings(PRINTED),
    new Map([
      ['KEY', Buffer.from([0, 1, 2, 255])],
      ['ROLE', Buffer.from('front')],
    ]),
  );
});

test('refuses output that is incomplete, doubled or not base64', async t => {
  t.throws(() => decodeOemStrings(STRINGS.join('\n')), /no line/);
  t.throws(() => decodeOemStrings(`${STRINGS[0]}\n${PRINTED}`), /KEY twice/);
  t.throws(() => decodeOemStrings(PRINTED.replace('AAEC/w==', 'AAEC/x==')), /not valid base64/);
});

test('the guest is a few hundred bytes, whatever it does after printing', async t => {
  for (const after of ['power-off', 'stay', 'reboot', 'await-power-button'] as const) {
    t.ok(buildPvhGuest({ after }).length < 512, after);
  }
});
