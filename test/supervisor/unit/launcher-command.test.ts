import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { readLauncherCommand } from '../../../src/supervisor/unit/launcher-command.js';

t.test('reads the arguments as they are', async t => {
  const path = join(t.testdir(), 'command');
  t.equal(await readLauncherCommand('demo', path), undefined, 'there is none');
  const argv = ['cloud-hypervisor', '', '--cmdline', 'a "b"\nc é', '--kernel', '/k'];
  writeFileSync(path, argv.map(word => `${word}\0`).join(''));
  t.strictSame(await readLauncherCommand('demo', path), argv);
});

t.test('rejects what only a user who lies leaves there', async t => {
  const folder = t.testdir({ 'of-root': 'a\0' });
  const make: Record<string, [RegExp, (path: string) => unknown]> = {
    'a link': [
      /cannot be opened \(ELOOP\); restart the VM$/,
      path => symlinkSync(join(folder, 'of-root'), path),
    ],
    'a link to nothing': [/cannot be opened \(ELOOP\)/, path => symlinkSync('/nonexistent', path)],
    'a FIFO': [/is not a regular file; restart the VM$/, path => execa('mkfifo', [path])],
    'a folder': [/is not a regular file/, path => mkdirSync(path)],
    'a device': [/is not a regular file|cannot be opened/, path => execa('mknod', [path, 'c', '1', '5'])],
    'a file that is cut short': [/is cut short; restart the VM$/, path => writeFileSync(path, 'a\0--kern')],
    'an empty file': [/is cut short/, path => writeFileSync(path, '')],
    'a file that is too large': [
      /is longer than 1048576 bytes; shorten it$/,
      path => writeFileSync(path, `${'a'.repeat(1024 * 1024)}\0`),
    ],
    'too many arguments': [
      /has more than 10000 arguments/,
      path => writeFileSync(path, 'a\0'.repeat(10_001)),
    ],
  };
  for (const [what, [message, prepare]] of Object.entries(make)) {
    if (what === 'a device' && process.getuid?.() !== 0) continue;
    const path = join(folder, what);
    await prepare(path);
    await t.rejects(readLauncherCommand('demo', path), { code: 'command_invalid', message }, what);
  }
});
