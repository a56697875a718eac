// What `npm pack` makes of one tree is the same, whoever makes it.
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { whyNotOnPath } from '../setup/programs.js';

const { files, name, version } = JSON.parse(readFileSync('package.json', 'utf8'));

t.test('npm pack gives the same bytes at any umask', { skip: whyNotOnPath('npm') }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'vmsd-pack-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const digests = new Map<string, string>();
  for (const umask of ['022', '077', '002']) {
    const tree = join(folder, umask);
    mkdirSync(tree);
    for (const path of [...files, 'package.json', 'README.md', 'LICENSE'])
      cpSync(path, join(tree, path), { recursive: true });
    // As a checkout with that umask has them.
    const rights = umask === '077' ? 'go=' : umask === '002' ? 'g=u,o=rX' : 'go=rX';
    await execa('chmod', ['-R', rights, tree]);
    const pack = 'umask "$1" && npm pack --silent --offline';
    await execa('sh', ['-c', pack, 'sh', umask], { cwd: tree, env: { NODE_OPTIONS: '' } });
    const packed = readFileSync(join(tree, `${name}-${version}.tgz`));
    digests.set(umask, createHash('sha256').update(packed).digest('hex'));
  }
  t.equal(new Set(digests.values()).size, 1, JSON.stringify([...digests]));
});
