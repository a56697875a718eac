import { randomBytes } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  lstatSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'tap';
import { makeFifos } from '../../src/hypervisor/fifos.js';

import { writeFifo } from '../../src/hypervisor/write-fifo.js';

async function makeFifo(directory: string): Promise<string> {
  const [path] = await makeFifos(directory, 1);
  if (path === undefined) throw new Error('makeFifos made none');
  return path;
}

test('makes FIFOs that only their owner may use, in place of old ones', async t => {
  const directory = t.testdir();
  await makeFifos(directory, 2);
  const paths = await makeFifos(directory, 3);
  t.equal(new Set(paths).size, 3);
  for (const path of paths) {
    t.ok(lstatSync(path).isFIFO());
    t.equal(lstatSync(path).mode & 0o777, 0o600);
  }
  t.strictSame(await makeFifos(directory, 0), []);
});

test('says where FIFOs cannot be made', async t => {
  const directory = `${t.testdir()}/missing`;
  await t.rejects(makeFifos(directory, 1), { code: 'resource_conflict', message: directory });
});

test('hands over every byte, more than a pipe holds included, and leaves no FIFO', async t => {
  for (const sizeBytes of [0, 1, 64 * 1024, 300_001]) {
    const path = await makeFifo(t.testdir());
    const bytes = randomBytes(sizeBytes);
    const [read] = await Promise.all([readFile(path), writeFifo(path, bytes, { timeoutMs: 10_000 })]);
    t.ok(read.equals(bytes), `${sizeBytes} bytes`);
    t.notOk(existsSync(path));
  }
});

test('gives up at its deadline when nobody reads, or nobody reads on', async t => {
  const path = await makeFifo(t.testdir());
  await t.rejects(writeFifo(path, Buffer.from('x'), { timeoutMs: 20 }), {
    code: 'vmm_timeout',
    message: path,
  });
  t.notOk(existsSync(path));

  const stuck = await makeFifo(t.testdir());
  const reader = createReadStream(stuck);
  await t.rejects(writeFifo(stuck, Buffer.alloc(300_000), { timeoutMs: 200 }), { code: 'vmm_timeout' });
  reader.resume();
});

test('ends with the reason of an abort', async t => {
  const path = await makeFifo(t.testdir());
  const abort = new AbortController();
  const written = writeFifo(path, Buffer.from('x'), { signal: abort.signal, timeoutMs: 10_000 });
  abort.abort(new Error('the start was cancelled'));
  await t.rejects(written, { message: 'the start was cancelled' });
  t.notOk(existsSync(path));
});

test('reports a reader that closes early', async t => {
  const path = await makeFifo(t.testdir());
  const reader = createReadStream(path, { highWaterMark: 1 });
  reader.once('data', () => reader.destroy());
  await t.rejects(writeFifo(path, Buffer.alloc(300_000), { timeoutMs: 10_000 }), { code: 'vmm_refused' });
});

test('writes nothing into a file or through a link that stands in the place of the FIFO', async t => {
  const directory = t.testdir({ target: '' });
  const path = await makeFifo(directory);
  rmSync(path);
  writeFileSync(path, '');
  const bytes = Buffer.from('secret');
  await t.rejects(writeFifo(path, bytes, { timeoutMs: 1000 }), { code: 'resource_conflict' });
  symlinkSync(`${directory}/target`, path);
  await t.rejects(writeFifo(path, bytes, { timeoutMs: 1000 }), { code: 'resource_conflict' });
  t.equal(readFileSync(`${directory}/target`, 'utf8'), '');
});
