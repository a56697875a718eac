import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { buildCpio } from './cpio.js';

const hasCpio = spawnSync('cpio', ['--version']).status === 0;

t.test('makes an archive that cpio unpacks', { skip: hasCpio ? false : 'cpio is not installed' }, async t => {
  const folder = t.testdir();
  const archive = buildCpio([
    { path: 'etc/deep/file', content: 'text' },
    { path: 'usr/bin/program', content: Buffer.from([0, 255, 10]), mode: 0o755 },
    { path: 'etc/link', symlink: '/usr/bin/program' },
  ]);
  execFileSync('cpio', ['-id', '--quiet'], { cwd: folder, input: archive });
  t.equal(readFileSync(join(folder, 'etc/deep/file'), 'utf8'), 'text');
  t.strictSame(readFileSync(join(folder, 'usr/bin/program')), Buffer.from([0, 255, 10]));
  t.equal(statSync(join(folder, 'usr/bin/program')).mode & 0o777, 0o755);
  t.equal(readlinkSync(join(folder, 'etc/link')), '/usr/bin/program');
});
