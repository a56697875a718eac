import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Canary } from './canary.js';
import { spawnImposter } from './setup/imposter.js';
import { whyNotOnPath } from './setup/programs.js';

/** A process that waits for its standard input to end. */
async function startCat(t: Test, options: { argument?: string; variable?: string }) {
  const child = spawn('sh', ['-c', 'echo; read -r line', options.argument ?? ''], {
    env: { ...process.env, PLANTED: options.variable ?? '' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

test('no two canaries are the same, and none finds another', async t => {
  const [one, other] = [new Canary(), new Canary()];
  t.not(one.text, other.text);
  t.strictSame(one.searchText('text', `x${other.text}x`), []);
});

test('finds its secret in a text and in bytes', async t => {
  const canary = new Canary();
  t.strictSame(canary.searchText('log', `{"a":"${canary.text}"}`), [{ where: 'log', form: 'plain' }]);
  const bytes = Buffer.concat([Buffer.from([0, 255]), Buffer.from(canary.text), Buffer.from([128])]);
  t.strictSame(canary.searchText('log', bytes), [{ where: 'log', form: 'plain' }]);
  t.strictSame(canary.searchText('log', canary.text.slice(1)), []);
});

test('finds its secret in base64, whatever stands before and behind it', async t => {
  const canary = new Canary();
  for (const before of ['', 'a', 'ab', 'abc', '\xff'.repeat(7)]) {
    for (const behind of ['', 'a', 'ab', '\n']) {
      const text = Buffer.from(before + canary.text + behind, 'latin1').toString('base64');
      t.strictSame(
        canary.searchText('text', `="${text}"`),
        [{ where: 'text', form: `base64+${before.length % 3}` }],
        `${before.length} before, ${behind.length} behind`,
      );
    }
  }
});

test('finds its secret in the command line and in the environment of a process', async t => {
  const canary = new Canary();
  t.strictSame(canary.searchProcesses(), []);
  const encoded = Buffer.from(`:${canary.text}`).toString('base64');
  const argument = await startCat(t, { argument: encoded });
  const variable = await startCat(t, { variable: canary.text });
  t.match(
    new Set(canary.searchProcesses()),
    new Set([
      { where: `/proc/${argument}/cmdline`, form: 'base64+1' },
      { where: `/proc/${variable}/environ`, form: 'plain' },
    ]),
  );
  t.strictSame(canary.searchProcesses({ exceptPids: [argument, variable] }), []);
});

test('reads the front of a command line that does not end', { skip: whyNotOnPath('perl') }, async t => {
  const canary = new Canary();
  const pid = await spawnImposter(t, { ARGV: `sh|${canary.text}`, HUGE: String(64 * 1024 ** 3) });
  t.match(canary.searchProcesses(), [
    { where: `/proc/${pid}/cmdline`, form: 'plain' },
    { where: `/proc/${pid}/environ` },
  ]);
});

test('finds its secret in files at any depth, in names and in targets of links', async t => {
  const canary = new Canary();
  const top = t.testdir();
  t.strictSame(canary.searchFiles([top]), []);
  const inner = join(top, 'a/.b');
  mkdirSync(inner, { recursive: true });
  writeFileSync(join(inner, 'content'), `\0${canary.text}`);
  writeFileSync(join(inner, `n-${canary.text}`), '');
  symlinkSync(`/nowhere/${canary.text}`, join(top, 'link'));
  symlinkSync('..', join(inner, 'loop'));
  const found = canary.searchFiles([top]);
  t.strictSame(
    new Set(found),
    new Set([
      { where: join(inner, 'content'), form: 'plain' },
      { where: `name of ${join(inner, 'n-…')}`, form: 'plain' },
      { where: `target of ${join(top, 'link')}`, form: 'plain' },
    ]),
  );
  t.notMatch(JSON.stringify(found), canary.text, 'no finding holds the secret');
});

test('refuses to search a directory that is not there', async t => {
  t.throws(() => new Canary().searchFiles([join(t.testdir(), 'missing')]), { code: 'ENOENT' });
});
