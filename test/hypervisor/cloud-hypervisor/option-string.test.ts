import fc from 'fast-check';
import t from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import {
  addQuotes,
  parseOptionString,
  removeQuotes,
  splitAtCommas,
  trimBlanks,
} from '../../../src/hypervisor/cloud-hypervisor/option-string.js';
import { REFERENCE_RELEASE } from '../../../src/hypervisor/cloud-hypervisor/release.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 500);
const special = fc.constantFrom(...'ab",[]= \t\n@-:é\u0085\ufeff');
const anyText = fc.array(special, { maxLength: 12 }).map(characters => characters.join(''));

t.test('gives back every value that addQuotes wrote, whatever is beside it', async t => {
  const keys = { first: {}, second: {}, third: {} };
  fc.assert(
    fc.property(anyText, anyText, anyText, (first, second, third) => {
      const written = { first, second, third };
      const text = Object.entries(written).map(([key, value]) => `${key}=${addQuotes(value)}`);
      const read = parseOptionString('--x', text.join(','), keys, REFERENCE_RELEASE);
      t.same(Object.fromEntries([...read].map(([key, raw]) => [key, removeQuotes(raw)])), written);
    }),
    { numRuns: ROUNDS },
  );
});

t.test('splitting loses nothing but the blanks around the whole', async t => {
  fc.assert(
    fc.property(anyText, text => {
      const parts = splitAtCommas(text);
      if (parts !== undefined) t.equal(parts.join(','), trimBlanks(text));
    }),
    { numRuns: ROUNDS },
  );
});

t.test('either converts an option string or says what is wrong with it', async t => {
  const flags = [
    '--disk',
    '--net',
    '--cpus',
    '--memory',
    '--platform',
    '--numa',
    '--console',
    '--debug-console',
  ];
  const key = fc.constantFrom(
    'path=',
    'size=',
    'affinity=',
    'oem_strings=',
    'fd=',
    'cpus=',
    'ip=',
    'file=',
    'tty',
  );
  const optionString = fc
    .array(fc.oneof(key, anyText, fc.constant(',')), { maxLength: 8 })
    .map(pieces => pieces.join(''));
  let converted = 0;
  fc.assert(
    fc.property(fc.constantFrom(...flags), optionString, (flag, text) => {
      try {
        convertCommand(['--kernel', '/k', `${flag}=${text}`]);
        converted++;
        return true;
      } catch (error) {
        return error instanceof VmsecretdError && error.details.flag === flag;
      }
    }),
    { numRuns: ROUNDS },
  );
  t.ok(converted > 0, `${converted} of ${ROUNDS} were converted`);
});

t.test('takes long strings in time that grows with their length', async t => {
  const megabyte = 1_000_000;
  for (const text of [
    ' '.repeat(megabyte),
    `${' '.repeat(megabyte)}x`,
    '['.repeat(megabyte),
    '""'.repeat(megabyte),
  ]) {
    const started = performance.now();
    t.throws(() => convertCommand(['--kernel', '/k', `--disk=x${text}`]), { code: 'command_invalid' });
    t.ok(performance.now() - started < 2000);
  }
});
