import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';

const isRoot = process.getuid?.() === 0;
const options = { skip: isRoot ? false : 'mounting a ramfs needs root' };

/** Runs vmsecretd-import on one type 11 structure, where systemd left `found`; gives the files that are there then. */
function importStrings(t: Test, strings: readonly string[], found: Record<string, string>) {
  const folder = mkdtempSync('/run/vmsecretd-import-');
  const credentials = join(folder, 'credentials');
  t.teardown(() => {
    spawnSync('umount', [credentials]);
    rmSync(folder, { recursive: true });
  });
  mkdirSync(join(folder, 'entries/11-0'), { recursive: true });
  const header = Buffer.from([11, 5, 0, 0, strings.length]);
  const raw = Buffer.concat([
    header,
    Buffer.from(strings.map(string => `${string}\0`).join('')),
    Buffer.alloc(1),
  ]);
  writeFileSync(join(folder, 'entries/11-0/raw'), raw);
  mkdirSync(credentials);
  spawnSync('mount', ['-t', 'ramfs', 'ramfs', credentials]);
  for (const [name, value] of Object.entries(found)) writeFileSync(join(credentials, name), value);
  spawnSync('mount', ['-o', 'remount,bind,ro', credentials]);
  const { status, stderr } = spawnSync(resolve('guest/vmsecretd-import'), {
    env: {
      PATH: process.env.PATH,
      VMSECRETD_CREDENTIALS: credentials,
      VMSECRETD_DMI_ENTRIES: join(folder, 'entries'),
    },
    encoding: 'utf8',
  });
  const names = readdirSync(credentials);
  const files = Object.fromEntries(
    names.map(name => [name, readFileSync(join(credentials, name), 'latin1')]),
  );
  return { status, stderr, files, credentials };
}

function binary(name: string, value: Buffer): string {
  return `io.systemd.credential.binary:${name}=${value.toString('base64')}`;
}

const LARGE = Buffer.alloc(5000, '\0\n\xff', 'latin1');

t.test('completes what was cut and what was not seen', options, async t => {
  const strings = [
    'other',
    'io.systemd.credential:TEXT=a=b',
    binary('LARGE', LARGE),
    binary('LAST', Buffer.from([0])),
  ];
  const { status, files, credentials } = importStrings(t, strings, { TEXT: 'a=b', LARGE: 'cut' });
  t.equal(status, 0);
  t.strictSame(files, { TEXT: 'a=b', LARGE: LARGE.toString('latin1'), LAST: '\0' });
  t.equal(statSync(join(credentials, 'LAST')).mode & 0o7777, 0o400);
  t.throws(() => writeFileSync(join(credentials, 'new'), ''), { code: 'EROFS' }, 'read-only again');
});

t.test('takes the first of two, and drops bad names and bad base64, as systemd does', options, async t => {
  const strings = [
    binary('LARGE', LARGE),
    binary('TWICE', Buffer.from('first')),
    binary('TWICE', Buffer.from('second')),
    binary('../escape', Buffer.from('x')),
    binary('..', Buffer.from('x')),
    'io.systemd.credential.binary:BAD=*',
  ];
  const { status, files } = importStrings(t, strings, {});
  t.equal(status, 0);
  t.strictSame(files, { LARGE: LARGE.toString('latin1'), TWICE: 'first' });
});

t.test('changes nothing where all fits in one page', options, async t => {
  const { status, stderr, files } = importStrings(t, [binary('A', Buffer.from('a'))], { A: 'as it is' });
  t.strictSame({ status, stderr, files }, { status: 0, stderr: '', files: { A: 'as it is' } });
});
