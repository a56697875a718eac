import { freemem, totalmem } from 'node:os';
import t from 'tap';
import { readAvailableMemory, readFreeHugepages } from '../../src/system/host-memory.js';

t.test('adds what each node can give', async t => {
  const node = (index: number) =>
    [
      `Node ${index} MemTotal:       2000 kB`,
      `Node ${index} MemFree:         100 kB`,
      `Node ${index} Active:          900 kB`,
      `Node ${index} Active(file):     10 kB`,
      `Node ${index} Inactive(file):    5 kB`,
      `Node ${index} SReclaimable:      1 kB`,
    ].join('\n');
  const folder = t.testdir({ node0: { meminfo: node(0) }, node1: { meminfo: node(1) }, online: '0-1' });
  t.equal(await readAvailableMemory(folder), 2 * 116 * 1024);
  t.equal(await readAvailableMemory(`${folder}/gone`), undefined);
});

t.test('is about what the kernel itself calls available', async t => {
  const available = (await readAvailableMemory()) ?? 0;
  t.ok(available > freemem() / 2 && available < totalmem(), `${available} of ${totalmem()}`);
});

t.test('reads free pages of a size', async t => {
  const folder = t.testdir({ 'hugepages-2048kB': { free_hugepages: '3\n' } });
  t.equal(await readFreeHugepages(2 * 1024 ** 2, folder), 6 * 1024 ** 2);
  t.equal(await readFreeHugepages(1024 ** 3, folder), undefined);
});
