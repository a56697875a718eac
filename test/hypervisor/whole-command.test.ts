import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'tap';
import { becomeCommandFrom, WHOLE_COMMAND } from '../../src/hypervisor/whole-command.js';
import { quoteCommand } from '../../src/system/quote-command.js';

const WORDS = ['/usr/bin/printf', '%s|', 'plain', "it's", 'a # whole', '$HOME `x` "y"', 'end\n'];
const TEXT = `${quoteCommand(WORDS)}${WHOLE_COMMAND}`;

async function run(folder: string, text: string) {
  const path = join(folder, 'text');
  writeFileSync(path, text);
  const [program = '', ...args] = becomeCommandFrom(path);
  return execa(program, args, { reject: false, stripFinalNewline: false });
}

test('becomes the command that was written, every word as it is', async t => {
  const { stdout, exitCode } = await run(t.testdir(), TEXT);
  t.equal(
    stdout,
    WORDS.slice(2)
      .map(word => `${word}|`)
      .join(''),
  );
  t.equal(exitCode, 0);
});

test('executes nothing of a command that was cut, wherever that was', async t => {
  const folder = t.testdir();
  for (let length = 0; length < TEXT.length; length += 1) {
    const { stdout, exitCode } = await run(folder, TEXT.slice(0, length));
    t.equal(stdout, '', `cut after ${length} bytes`);
    t.ok(exitCode === 1 || exitCode === 2, 'and it fails: 2 is the shell’s own, for an open quote');
  }
});
