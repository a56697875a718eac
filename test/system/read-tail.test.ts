import { join } from 'node:path';
import { test } from 'tap';
import { readTail } from '../../src/system/read-tail.js';

test('gives the last whole words of a file as one printable line', async t => {
  const folder = t.testdir({ log: 'first\nerror: \x1b[31mbad\x1b[0m\x07\u00e9 thing\n\n', empty: '' });
  t.equal(await readTail(join(folder, 'log'), 1000), 'first error:  [31mbad [0m  thing');
  t.equal(await readTail(join(folder, 'log'), 8), 'thing');
  t.equal(await readTail(join(folder, 'log'), 6), '', 'half a word may be half a secret');
  t.equal(await readTail(join(folder, 'empty'), 10), '');
});

test('gives nothing where there is no file', async t => {
  t.equal(await readTail(join(t.testdir(), 'missing'), 10), '');
});
