import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runSecretProgram } from '../../../src/secrets/secret-program.js';
import { isAlive } from '../../setup/is-alive.js';
import { openOne, refusalOf } from '../../setup/open-source.js';
import { whyNotRoot } from '../../setup/programs.js';

const shell = (script: string, ...args: string[]) => ['sh', '-c', script, 'sh', ...args];
const LIMITS = { searchPath: process.env.PATH ?? '', limitBytes: 1_000, timeoutMs: 1_000 };
const run = (script: string) => runSecretProgram({ program: 'sh', args: ['-c', script], ...LIMITS });

t.test('the value is standard output, byte for byte', async t => {
  t.equal(await openOne({ program: ['printf', 'a\\0\\377\\n'] }), 'a\0\xff\n');
  t.equal(await openOne({ program: ['/bin/echo', 'x'], trim: 'newline' }), 'x');
  t.equal(
    await openOne({ program: shell('printf %s "$1"', '$HOME `id` *;') }),
    '$HOME `id` *;',
    'without a shell of ours',
  );
  t.equal((await openOne({ program: ['head', '-c', '1048576', '/dev/zero'] })).length, 1024 * 1024);
});

t.test('it gets no input, and nothing of the environment but PATH and a locale', async t => {
  process.env.VMSECRETD_TEST_ONLY = 'not for a program';
  t.teardown(() => delete process.env.VMSECRETD_TEST_ONLY);
  const environment = await openOne({ program: ['env'] });
  t.match(environment, /^LC_ALL=C\.UTF-8$/m);
  t.notMatch(environment, /VMSECRETD_TEST_ONLY|^HOME=|^USER=/m);
  t.equal(await openOne({ program: shell('cat; pwd; ps -o tty= -p $$') }).then(text => text.trim()), '/\n?');
});

t.test('what it writes to standard error is for root alone, on one line, and bounded', async t => {
  const error = await refusalOf({
    program: shell('printf "a\\033[31mb\\nthe-secret" >&2; printf partial; exit 7'),
  });
  t.match(error, {
    code: 'secret_unreadable',
    message: /^VM web, credential API_KEY: the program sh ended with status 7\. /,
  });
  t.notMatch(JSON.stringify([error.message, error.details, error.stack]), /the-secret|partial|31m/);
  t.equal(error.words, 'a [31mb the-secret');
  t.match(error.messageForRoot, /: a \[31mb the-secret$/);
  const long = await refusalOf({
    program: shell('head -c 300000 /dev/zero | tr "\\0" x >&2; echo end >&2; exit 1'),
  });
  t.ok((long.words ?? '').length <= 4096 && long.words?.endsWith('end'), `${long.words?.length}`);
  t.equal(
    await openOne({ program: shell('head -c 300000 /dev/zero >&2; printf v') }),
    'v',
    'and ends nothing',
  );
});

const FAILURES: [title: string, program: string[], code: string, says: RegExp][] = [
  [
    'a program that is nowhere',
    ['no-such-program'],
    'secret_missing',
    /is in no folder of PATH \(.*\)\. Install it/,
  ],
  ['a path without a program', ['/no/such/program'], 'secret_missing', /is not there, or not executable/],
  ['a file that is not executable', ['/etc/passwd'], 'secret_missing', /is not there, or not executable/],
  [
    'no output and success',
    ['true'],
    'secret_missing',
    /wrote nothing to standard output, and ended with status 0/,
  ],
  ['a status', ['false'], 'secret_unreadable', /ended with status 1/],
  ['a signal', shell('kill -SEGV $$'), 'secret_unreadable', /was ended by SIGSEGV/],
  [
    '2 MiB of output',
    ['head', '-c', '2097152', '/dev/zero'],
    'secret_too_large',
    /wrote more than the limit of 1048576/,
  ],
  ['output without an end', ['yes', 'the-secret'], 'secret_too_large', /wrote more than the limit/],
];
for (const [title, program, code, says] of FAILURES) {
  t.test(`fails for ${title}`, async t => {
    const error = await refusalOf({ program });
    t.equal(error.code, code);
    t.match(error.message, says);
    t.notMatch(error.message, 'the-secret');
  });
}

t.test('a program that hangs is ended with all that it started', async t => {
  const folder = t.testdir({});
  for (const [what, script] of [
    ['itself', `echo $$ > ${folder}/pid; exec sleep 1000`],
    ['a process in the background that holds the output', `sleep 1000 & echo $! > ${folder}/pid; echo x`],
    [
      'one that ignores signals',
      `trap "" TERM INT HUP; echo $$ > ${folder}/pid; while :; do sleep 1000; done`,
    ],
  ] as const) {
    await t.rejects(run(script), { problem: 'late', message: /did not end within 1 seconds/ }, what);
    t.notOk(await isAlive(join(folder, 'pid')), what);
  }
  t.equal(String(await run(`sleep 1000 >/dev/null 2>&1 & echo $! > ${folder}/pid; echo x`)), 'x\n');
  t.notOk(await isAlive(join(folder, 'pid')), 'a process in the background that holds nothing');
});

t.test(
  'a program that others can write to, or replace, is not run by root',
  { skip: whyNotRoot() },
  async t => {
    const folder = t.testdir({});
    const program = join(folder, 'program');
    writeFileSync(program, '#!/bin/sh\necho the-secret\n');
    chmodSync(program, 0o777);
    t.match(await refusalOf({ program: [program] }), {
      code: 'secret_unreadable',
      message: /is not run: somebody other than root can write to it; chmod go-w /,
    });
    chmodSync(program, 0o755);
    t.equal(await openOne({ program: [program] }), 'the-secret\n');
    chmodSync(folder, 0o777);
    t.match(
      (await refusalOf({ program: [program] })).message,
      /is not run: somebody other than root can replace/,
    );
    chmodSync(folder, 0o755);
  },
);
