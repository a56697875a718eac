import { appendFileSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { boundLogs, LOG_KEPT_BYTES, LOG_LIMIT_BYTES } from '../../src/system/log-bound.js';

const MIB = 1024 * 1024;
const DEADLINE_MS = 20_000;

async function bound(t: Test) {
  const folder = t.testdir();
  const warnings: object[] = [];
  const stop = await boundLogs(folder, { warn: (fields: object) => void warnings.push(fields) });
  t.teardown(stop);
  return { path: (name: string) => join(folder, name), folder, warnings, stop };
}

/** What a file takes of the file system, whatever its length. */
const roomOf = (path: string) => statSync(path).blocks * 512;

async function untilWithin(path: string): Promise<number> {
  const deadline = Date.now() + DEADLINE_MS;
  while (roomOf(path) > LOG_LIMIT_BYTES && Date.now() < deadline) await delay(10);
  return roomOf(path);
}

t.test('of a log that is too large the end is kept, and who writes goes on', async t => {
  const { path, warnings } = await bound(t);
  const log = path('web.vmm.log');
  const first = Buffer.alloc(8 * MIB, 'a');
  appendFileSync(log, first);
  t.ok((await untilWithin(log)) <= LOG_LIMIT_BYTES);
  appendFileSync(log, 'the last words');
  const text = readFileSync(log);
  t.equal(text.length, first.length + 14, 'no position in it has changed');
  t.equal(text.toString('latin1', text.length - 14), 'the last words');
  t.ok(text.subarray(first.length - LOG_KEPT_BYTES, first.length).every(byte => byte === 0x61));
  t.strictSame(warnings, []);
});

t.test('a writer that keeps a position of its own is no exception', async t => {
  const { path } = await bound(t);
  const log = path('web.console.log');
  const file = openSync(log, 'w');
  for (let count = 0; count < 12; count += 1) {
    writeSync(file, Buffer.alloc(MIB, 'b'));
    await delay(5);
  }
  t.ok((await untilWithin(log)) <= LOG_LIMIT_BYTES);
  t.equal(statSync(log).size, 12 * MIB);
});

t.test('a program that prints 200 MB leaves no more than the bound', async t => {
  const { path } = await bound(t);
  const log = path('web.vmm.log');
  let largest = 0;
  const look = setInterval(() => {
    largest = Math.max(largest, roomOf(log));
  }, 5);
  writeFileSync(log, '');
  await execa('sh', ['-c', `yes | head -c 200000000 >> ${log}`]);
  clearInterval(look);
  t.ok((await untilWithin(log)) <= LOG_LIMIT_BYTES);
  t.comment(`at most ${Math.round(largest / MIB)} MiB of 191 at a time`);
});

t.test('what grew while nobody looked is cut at once, and a small log is left alone', async t => {
  const folder = t.testdir({ 'small.vmm.log': 'a few words' });
  writeFileSync(join(folder, 'large.vmm.log'), Buffer.alloc(6 * MIB, 'c'));
  t.teardown(await boundLogs(folder, { warn: () => {} }));
  t.ok((await untilWithin(join(folder, 'large.vmm.log'))) <= LOG_LIMIT_BYTES);
  t.equal(readFileSync(join(folder, 'small.vmm.log'), 'utf8'), 'a few words');
});

t.test('says once that a log cannot be cut, and goes on trying', async t => {
  const { path, warnings } = await bound(t);
  const search = process.env.PATH;
  process.env.PATH = '/nowhere';
  t.teardown(() => {
    process.env.PATH = search;
  });
  const log = path('web.vmm.log');
  for (let count = 0; count < 3; count += 1) {
    appendFileSync(log, Buffer.alloc(5 * MIB, 'd'));
    await delay(100);
  }
  t.strictSame(warnings, [{ path: log }]);
  process.env.PATH = search;
  appendFileSync(log, 'more');
  t.ok((await untilWithin(log)) <= LOG_LIMIT_BYTES);
  t.strictSame(warnings, [{ path: log }]);
});

/** A user namespace in which nobody may watch anything (user_namespaces(7)), and the program that runs there. */
const WITHOUT_INOTIFY = ['--user', '--map-root-user', 'sh', '-c'];
const forbid = 'echo 0 > /proc/sys/user/max_inotify_instances';
const { failed: noNamespace } = await execa('unshare', [...WITHOUT_INOTIFY, forbid], { reject: false });

t.test(
  'where nothing can be watched it says so, and cuts what is there',
  {
    skip: noNamespace && 'needs a user namespace of its own (unshare of util-linux)',
  },
  async t => {
    const folder = t.testdir();
    writeFileSync(join(folder, 'large.vmm.log'), Buffer.alloc(6 * MIB, 'e'));
    const program = `
    import { boundLogs } from ${JSON.stringify(new URL('../../src/system/log-bound.js', import.meta.url).href)};
    await boundLogs(${JSON.stringify(folder)}, { warn: (fields, message) => console.log(message, fields.code) });
    setTimeout(() => {}, 1_000);`;
    const run = `${forbid} && exec "$0" --input-type=module --eval "$1"`;
    const { stdout } = await execa('unshare', [...WITHOUT_INOTIFY, run, process.execPath, program]);
    t.match(stdout, /^logs cannot be watched .* EMFILE$/);
    t.ok((await untilWithin(join(folder, 'large.vmm.log'))) <= LOG_LIMIT_BYTES);
  },
);
