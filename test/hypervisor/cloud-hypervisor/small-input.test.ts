// What a small command must not do: become a large result, take steps that grow with its square, or be quoted whole.
import t from 'tap';
import { splitCommand } from '../../../src/definition/split-command.js';
import { VmsecretdError } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { buildCommandLine } from '../../../src/hypervisor/cloud-hypervisor/to-command.js';

const MOST_NUMBERS = 65_536;
const KERNEL = ['--kernel', '/k'];
/** The daemon takes bodies up to 1 MiB. */
const LARGE = 1_000_000;
/** Flag, key, 60 characters of the value (each escaped), and what would be right. */
const LONGEST_MESSAGE = 700;

const convert = (...options: string[]) => convertCommand([...KERNEL, ...options]).vmConfig;

t.test('a list takes as many numbers as the limit, and not one more', async t => {
  const { cpus } = convert('--cpus', `affinity=[0@[1-${MOST_NUMBERS}]]`);
  t.same((cpus as { affinity: { host_cpus: number[] }[] }).affinity[0]?.host_cpus.length, MOST_NUMBERS);
  t.throws(() => convert('--cpus', `affinity=[0@[0-${MOST_NUMBERS}]]`), { code: 'command_invalid' });
});

const inPairs = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index}@[0-${MOST_NUMBERS / 2 - 1}]`).join(',');
const together: [what: string, ...options: string[]][] = [
  ['the pairs of one option', '--cpus', `affinity=[${inPairs(3)}]`],
  ['the ranges of one list', '--platform', 'iommu_segments=[0-40000,0-40000]'],
  ['the values of one option', '--net', 'fd=[0-40000]', 'fd=[0-40000]'],
  ['several options', '--numa', 'guest_numa_id=0,cpus=[0-40000]', '--cpus', 'affinity=[0@[0-40000]]'],
  ['several keys', '--numa', 'guest_numa_id=0,cpus=[0-40000],pci_segments=[0-40000]'],
];
for (const [what, ...options] of together) {
  t.test(`the limit is for ${what} together`, async t => {
    t.throws(() => convert(...options), {
      code: 'command_invalid',
      message: /65,536 numbers in all lists of a command together/,
    });
  });
}

t.test('two commands do not share the limit', async t => {
  for (const _ of [1, 2]) t.doesNotThrow(() => convert('--platform', 'iommu_segments=[0-65535]'));
});

// Quadratic work on a megabyte takes minutes, so these would end at the deadline of the test.
t.test('the work grows with the length', async t => {
  const repeated = convert(...new Array<string>(LARGE / 10).fill('--disk='));
  t.equal(repeated.disks?.length, LARGE / 10);
  t.throws(() => convert('--memory', `size=${'K'.repeat(LARGE)}x`), { code: 'command_invalid' });
  t.throws(() => convert('--disk', `${' '.repeat(LARGE)}x${' '.repeat(LARGE)}y`), {
    code: 'command_invalid',
  });
  t.equal(splitCommand(`a${' \\\n'.repeat(LARGE / 4)}b`).length, 2);
});

t.test('a command of many words is refused or written, whatever their number', async t => {
  const words = [...KERNEL, '--disk', ...new Array<string>(200_000).fill('')];
  t.equal(buildCommandLine(words, ['a']).length, words.length + 2);
});

const long = 'x'.repeat(LARGE);
const quoted = '"'.repeat(LARGE);
const refused: [what: string, options: string[]][] = [
  ['option', [`--${long}`]],
  ['option given with =', [`--${long}=x`]],
  ['word', [long]],
  ['key', ['--disk', long]],
  ['key with a value', ['--disk', `${long}=x`]],
  ['key beside a blank', ['--disk', `path${' '.repeat(LARGE)}=x`]],
  ['number', ['--cpus', `boot=${long}`]],
  ['toggle', ['--disk', `readonly=${quoted}`]],
  ['unbalanced value', ['--disk', `path="${long}`]],
  ['list', ['--cpus', `affinity=[${long}]`]],
  ['CPU feature', ['--cpus', `features=[${long}]`]],
  ['device type', ['--generic-vhost-user', `socket=/s,queue_sizes=[1],device_type=${long}`]],
  ['tag', ['--fs', `socket=/s,tag=${long}`]],
  ['access', ['--landlock-rules', `path=/p,access=${long}`]],
  ['choice', ['--seccomp', long]],
  ['log format', ['--log-format', `{${long}`]],
  ['descriptor', ['--event-monitor', `fd=${long}`]],
  ['descriptor of the API socket', ['--api-socket', `fd=${long}`]],
  ['switch value', [`--watchdog=${long}`]],
  ['short option', [`-${long}`]],
];
t.test('no error quotes a long value whole', async t => {
  for (const [what, options] of refused) {
    const error = catchError(() => convert(...options));
    t.equal(error?.code, 'command_invalid', what);
    t.ok(JSON.stringify([error?.message, error?.details]).length < LONGEST_MESSAGE, `${what} is cut`);
  }
  for (const text of [`'${long}`, `"${long}`, `${long}$`, `${long}\n${long}`, `{${long}`]) {
    t.ok((catchError(() => splitCommand(text))?.message.length ?? LARGE) < LONGEST_MESSAGE, text.slice(0, 5));
  }
});

function catchError(act: () => unknown): VmsecretdError | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof VmsecretdError) return error;
    throw error;
  }
  return undefined;
}
