import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readRegularFile } from '../../src/system/read-regular-file.js';

const folder = t.testdir({});
const at = (name: string) => join(folder, name);

t.test('gives the bytes of a file, through links, up to the limit itself', async t => {
  writeFileSync(at('file'), '\0abc');
  symlinkSync('file', at('link'));
  symlinkSync('link', at('link-to-link'));
  t.same(await readRegularFile(at('link-to-link'), { limitBytes: 4 }), Buffer.from('\0abc'));
});

t.test('refuses a file beyond the limit by its size', async t => {
  writeFileSync(at('large'), '');
  truncateSync(at('large'), 2 ** 40);
  const expected = { refusal: 'too_large', message: 'it has 1099511627776 bytes, the limit is 10 bytes' };
  await t.rejects(readRegularFile(at('large'), { limitBytes: 10 }), expected);
});

t.test('refuses what is no regular file, and never waits for one', async t => {
  mkdirSync(at('folder'));
  execFileSync('mkfifo', [at('fifo')]);
  symlinkSync('fifo', at('link-to-fifo'));
  for (const path of [at('folder'), at('fifo'), at('link-to-fifo'), '/dev/zero']) {
    await t.rejects(readRegularFile(path, { limitBytes: 10 }), { message: 'it is not a regular file' }, path);
  }
});

t.test('refuses a file that grows or shrinks while it is read', async t => {
  for (const change of [() => appendFileSync(at('moving'), 'x'), () => truncateSync(at('moving'), 1)]) {
    writeFileSync(at('moving'), 'abc');
    await t.rejects(readRegularFile(at('moving'), { limitBytes: 10, inspect: change }), {
      message: 'it changed its size while it was read',
    });
  }
});

t.test('passes the system error on', async t => {
  await t.rejects(readRegularFile(at('absent'), { limitBytes: 10 }), { code: 'ENOENT' });
});
