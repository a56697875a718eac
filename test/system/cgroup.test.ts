import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCgroupUsage } from '../../src/system/cgroup.js';
import { readProcess, readProcessUsage } from '../../src/system/procfs.js';

t.test('reads what the kernel says of a cgroup, all block devices together', async t => {
  const root = t.testdir({
    'x.service': {
      'cpu.stat': 'usage_usec 3500000\nuser_usec 2500000\nsystem_usec 1000000\nnr_periods 0\n',
      'memory.current': '104857600\n',
      'io.stat':
        '259:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:16 \n8:0 rbytes=1 wbytes=2 rios=1 wios=1\n',
    },
  });
  t.strictSame(await readCgroupUsage('/x.service', root), {
    cpuUserSeconds: 2.5,
    cpuSystemSeconds: 1,
    memoryBytes: 104857600,
    blockReadBytes: 4097,
    blockWriteBytes: 8194,
  });
});

t.test('says nothing of what is not there', async t => {
  const root = t.testdir({});
  t.strictSame(await readCgroupUsage('/gone.service', root), {}, 'a cgroup that is gone');
  mkdirSync(join(root, 'x'));
  writeFileSync(join(root, 'x/memory.current'), '5\n');
  t.strictSame(await readCgroupUsage('/x', root), { memoryBytes: 5 }, 'a controller that is off');
});

t.test('reads what a process uses, and nothing of another one with its pid', async t => {
  const own = await readProcess(process.pid);
  const usage = await readProcessUsage(process.pid, own?.startTimeTicks ?? 0);
  const { user } = process.cpuUsage();
  t.ok(Math.abs((usage.cpuUserSeconds ?? 0) - user / 1e6) < 1, 'in seconds');
  t.ok(Math.abs((usage.memoryBytes ?? 0) / process.memoryUsage.rss() - 1) < 0.5, 'in bytes');
  t.strictSame(await readProcessUsage(process.pid, (own?.startTimeTicks ?? 0) + 1), {});
});
