import fc from 'fast-check';
import t from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { buildCommandLine, mergeOemStrings } from '../../../src/hypervisor/cloud-hypervisor/to-command.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 500);
const SECRET = 'io.systemd.credential.binary:API_KEY=czNjcjN0';
const kernel = ['--kernel', '/k'];
const oemStrings = (argv: readonly string[]) => convertCommand(argv).vmConfig.platform?.oem_strings;

t.test('adds a platform where there is none', async t => {
  t.same(buildCommandLine(kernel, [SECRET, 'b']), ['--platform', `oem_strings=[${SECRET},b]`, ...kernel]);
});

t.test('leaves a command as it is when there is nothing to add', async t => {
  t.same(buildCommandLine(['/bin/cloud-hypervisor', ...kernel, '--platform', ''], []), [
    ...kernel,
    '--platform',
    '',
  ]);
});

t.test('merges into the platform without touching its other keys', async t => {
  const merged: [platform: string, expected: string][] = [
    ['', 'oem_strings=[new]'],
    ['uuid=a', 'uuid=a,oem_strings=[new]'],
    ['oem_strings=[a,b],uuid="c,d"', 'oem_strings=[a,b,new],uuid="c,d"'],
    ['uuid= a ,oem_strings=a', 'uuid= a ,oem_strings=[a,new]'],
    ['oem_strings=["x,[y"]', 'oem_strings=["x,[y",new]'],
    ['oem_strings=[a],oem_strings=[b]', 'oem_strings=[a],oem_strings=[b,new]'],
    ['oem_strings=[a],oem_strings=', 'oem_strings=[a],oem_strings=[new]'],
    ['oem_strings=[]', 'oem_strings=[,new]'],
  ];
  for (const [platform, expected] of merged) {
    t.same(buildCommandLine([...kernel, '--platform', platform], ['new']), [
      ...kernel,
      '--platform',
      expected,
    ]);
    t.same(buildCommandLine([`--platform=${platform}`, ...kernel], ['new']), [
      `--platform=${expected}`,
      ...kernel,
    ]);
  }
});

t.test('refuses strings that would not arrive as they are, and tells no value', async t => {
  for (const value of ['a,b', 'a]', '[a', '[a]', 'a[', 'a"b', ' a', 'a ', 'a\0']) {
    try {
      buildCommandLine(kernel, ['fine', `io.systemd.credential:PASSWORD=s3cr3t${value}`, value]);
      t.fail(`${JSON.stringify(value)} was taken`);
    } catch (error) {
      if (!(error instanceof VmsecretdError)) throw error;
      t.match(error.message, value === ' a' ? /OEM string 3/ : /OEM string of "PASSWORD"/);
      t.notMatch(JSON.stringify([error.message, error.details]), /s3cr3t/);
    }
  }
  for (const value of ['"a"', 'say "a,b" twice', 'a[b]c', 'a=b', 'a b', "it's $HOME", 'é😀', 'a\nb']) {
    t.same(oemStrings(buildCommandLine(kernel, [value, 'z'])), [value, 'z'], value);
  }
});

t.test('refuses an argument beyond the kernel limit of 131072 bytes with its NUL', async t => {
  const room = 131_071 - 'oem_strings=[]'.length;
  t.equal(buildCommandLine(kernel, ['x'.repeat(room)])[1]?.length, 131_071);
  t.throws(() => buildCommandLine(kernel, ['x'.repeat(room + 1)]), /131072 bytes is too long.* 131071/);
  t.throws(
    () => buildCommandLine(kernel, ['é'.repeat(room / 2 + 1)]),
    /too long/,
    'bytes count, not characters',
  );
});

t.test('refuses an invalid command line before anything else', async t => {
  t.throws(() => buildCommandLine(['--kernl', '/k'], [SECRET]), /no option "--kernl"/);
  t.throws(() => buildCommandLine([...kernel, '--platform', 'uuid="a'], [SECRET]), /not balanced/);
});

t.test('shows placeholders, however they look', async t => {
  t.same(mergeOemStrings([...kernel, '--platform', 'oem_strings=[a]'], ['<API_KEY: 64 bytes, [x>']), [
    ...kernel,
    '--platform',
    'oem_strings=[a,<API_KEY: 64 bytes, [x>]',
  ]);
});

t.test('every string that is taken arrives, behind those that are there', async t => {
  const character = fc.constantFrom(...'ab"[],= \té\n:@\u0085\ufeff');
  const string = fc.array(character, { maxLength: 8 }).map(characters => characters.join(''));
  const given = fc.constantFrom([], ['--platform', ''], ['--platform=oem_strings=["a,b",c],uuid=x']);
  let taken = 0;
  fc.assert(
    fc.property(given, fc.array(string, { minLength: 1, maxLength: 4 }), (platform, strings) => {
      const argv = [...kernel, ...platform];
      const usable = strings.filter(text => {
        try {
          return buildCommandLine(argv, [text]).length > 0;
        } catch {
          return false;
        }
      });
      if (usable.length === 0) return;
      taken++;
      t.same(oemStrings(buildCommandLine(argv, usable)), [...(oemStrings(argv) ?? []), ...usable]);
    }),
    { numRuns: ROUNDS },
  );
  t.ok(taken > ROUNDS / 4, `${taken} of ${ROUNDS} had strings to carry`);
});
