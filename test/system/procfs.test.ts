import { execa } from 'execa';
import t from 'tap';
import { isSameProcess, parseStartTime, parseUid, readProcess } from '../../src/system/procfs.js';
import { spawnImposter } from '../setup/imposter.js';
import { whyNotOnPath } from '../setup/programs.js';

t.test('reads this process as it is', async t => {
  const facts = await readProcess(process.pid);
  t.match(facts, {
    pid: process.pid,
    uid: process.getuid?.(),
  });
  t.ok(await isSameProcess(process.pid, facts?.startTimeTicks ?? -1));
  t.notOk(
    await isSameProcess(process.pid, (facts?.startTimeTicks ?? 0) + 1),
    'a recycled pid is another process',
  );
});

t.test('gives null for a process that ended', async t => {
  const child = execa('cat', { reject: false });
  const pid = child.pid ?? 0;
  const facts = await readProcess(pid);
  t.equal(facts?.pid, pid);
  child.kill();
  await child;
  t.equal(await readProcess(pid), null);
  t.notOk(await isSameProcess(pid, facts?.startTimeTicks ?? -1));
});

t.test('finds the start time behind any process name', t => {
  const rest = 'S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 0';
  t.equal(parseStartTime(`7 (name) ${rest}`), 4242);
  t.equal(parseStartTime(`7 (a) R 1 (b ) c) ${rest}`), 4242, 'a name may imitate the fields');
  t.equal(parseStartTime(`7 (name) ${rest.replace('S', 'Z')}`), null, 'a zombie runs no more');
  t.equal(parseStartTime(''), null);
  t.end();
});

t.test('takes no line from the name of a process', { skip: whyNotOnPath('perl') }, async t => {
  const name = 'x\\rUid:\\t0\\t0\\t0\\t';
  const isRoot = process.getuid?.() === 0;
  const facts = await readProcess(await spawnImposter(t, { NAME: name, ...(isRoot ? { AS: '65534' } : {}) }));
  t.equal(facts?.uid, isRoot ? 65534 : process.getuid?.());
  for (const end of [0x0b, 0x0c, 0x0d, 0x85, 0x2028, 0x2029]) {
    const status = `Name:\tx${String.fromCodePoint(end)}Uid:\t0\t0\t0\t\nUid:\t7\t7\t7\t7\n`;
    t.equal(parseUid(status), 7, `U+${end.toString(16)} ends no line`);
  }
  t.equal(parseUid('Uid:\t7\t0\t7\t7\n'), null, 'who is not one user is nobody');
});
