import { execa } from 'execa';
import t from 'tap';
import { COMMAND_LINE_LIMIT, readCommandLine } from '../../src/system/command-line.js';
import { readProcess } from '../../src/system/procfs.js';
import { spawnImposter } from '../setup/imposter.js';
import { whyNotOnPath } from '../setup/programs.js';
import { spawnWithholders, whyNoWithholder } from '../setup/withholder.js';

t.test('reads that of this process', async t => {
  const shown = await readCommandLine(process.pid);
  t.equal(shown?.argv[0], process.argv0);
  t.ok(shown?.argv.includes(process.argv[1] ?? ''));
  t.equal(shown?.isWhole, true);
});

t.test('keeps empty and odd arguments', async t => {
  const child = execa('sh', ['-c', 'read -r line', 'name', '', 'two words', 'new\nline', '\n']);
  const shown = await readCommandLine(child.pid ?? 0);
  t.strictSame(shown?.argv.slice(3), ['name', '', 'two words', 'new\nline', '\n']);
  child.stdin?.end('\n');
  await child;
  t.equal(await readCommandLine(child.pid ?? 0), null, 'a process that ended has none');
});

// Not without an end: other tests read the command lines of all processes.
const HUGE = String(64 * 1024 * 1024);

t.test(
  'reads no more than the limit of a command line that a process makes huge',
  {
    skip: whyNotOnPath('perl'),
  },
  async t => {
    const lie = { ARGV: '/bin/sh|/opt/vmsecretd-launch|demo', HUGE };
    const shown = await readCommandLine(await spawnImposter(t, lie));
    t.strictSame(shown?.argv.slice(0, 3), lie.ARGV.split('|'));
    t.equal(shown?.argv.length, COMMAND_LINE_LIMIT.arguments + 1);
    t.equal(shown?.isWhole, false);
  },
);

t.test(
  'gives up on a process that withholds it, of which all else can be read',
  {
    skip: whyNoWithholder(),
  },
  async t => {
    const { pids, end } = await spawnWithholders(t, 5);
    const read = pids.map(pid => readCommandLine(pid, 300));
    const uids = await Promise.all(pids.map(async pid => (await readProcess(pid))?.uid));
    t.strictSame(new Set(uids), new Set([process.getuid?.()]), 'and no thread waits for it');
    t.strictSame(await Promise.all(read), [null, null, null, null, null]);
    await end();
  },
);
