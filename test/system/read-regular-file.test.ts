import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
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

t.test('names the target of a link that leads nowhere, and tells a loop', async t => {
  symlinkSync('gone/secret', at('dangling'));
  symlinkSync('dangling', at('to-dangling'));
  symlinkSync(at('absent-folder'), at('folder-link'));
  symlinkSync('loop-b', at('loop-a'));
  symlinkSync('loop-a', at('loop-b'));
  symlinkSync('self', at('self'));
  const cases: [path: string, code: string, message: string][] = [
    [at('dangling'), 'ENOENT', `leads by the link ${at('dangling')} to ${at('gone')}, which does not exist`],
    [
      at('to-dangling'),
      'ENOENT',
      `leads by the link ${at('dangling')} to ${at('gone')}, which does not exist`,
    ],
    [
      join(at('folder-link'), 'secret'),
      'ENOENT',
      `leads by the link ${at('folder-link')} to ${at('absent-folder')}, which does not exist`,
    ],
    [at('loop-a'), 'ELOOP', `leads into a loop of links at ${at('loop-a')}`],
    [at('self'), 'ELOOP', `leads into a loop of links at ${at('self')}`],
  ];
  for (const [path, code, message] of cases)
    await t.rejects(readRegularFile(path, { limitBytes: 10 }), { code, message }, path);
});

t.test('reads what has no size, as files of /proc and of FUSE', async t => {
  for (const path of ['/proc/version', '/proc/sys/kernel/random/uuid', '/proc/sys/kernel/ostype']) {
    const content = await readRegularFile(path, { limitBytes: 4096 });
    t.ok(content.length > 0, path);
    if (!path.includes('uuid')) t.same(content, readFileSync(path));
  }
  const length = readFileSync('/proc/version').length;
  t.equal(
    (await readRegularFile('/proc/version', { limitBytes: length })).length,
    length,
    'the limit itself',
  );
  await t.rejects(readRegularFile('/proc/version', { limitBytes: length - 1 }), {
    message: /has more bytes than the limit/,
  });
});

t.test('a file that was empty and is not any more is no file without a size', async t => {
  writeFileSync(at('growing'), '');
  const inspect = () => appendFileSync(at('growing'), 'half');
  await t.rejects(readRegularFile(at('growing'), { limitBytes: 10, inspect }), {
    message: 'it changed its size while it was read',
  });
});
