// npm run demo as README.md has it, in a copy of the clone: it would build the one that tests run from.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readBlock } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { PROJECT_ROOT } from '../setup/project-root.js';

const skip = whyNotOnPath('qemu-system-x86_64') || whyNotOnPath('curl');

t.test(
  'the demo of the README finds its secrets in the guest alone, and leaves nothing',
  { skip },
  async t => {
    const clone = mkdtempSync(join(tmpdir(), 'vmsecretd-clone-'));
    t.teardown(() => rmSync(clone, { recursive: true }));
    for (const path of ['package.json', 'package-lock.json', 'demo', 'dist'])
      cpSync(join(PROJECT_ROOT, path), join(clone, path), { recursive: true, preserveTimestamps: true });
    symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(clone, 'node_modules'));
    const [command = ''] = readBlock('README.md', 'npm run demo').split('#');
    // What is built is as new as its sources.
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `touch dist/.tsbuildinfo; ${command}`], {
      cwd: clone,
      encoding: 'utf8',
      timeout: 120_000,
      env: { PATH: process.env.PATH, HOME: clone },
    });
    t.equal(status, 0, stderr);
    t.notMatch(stdout, /npm ci|npm run --silent build/, 'nothing was installed or built');
    t.match(stdout, 'A VM started with its secrets, and they were nowhere else.');
    const [folder = ''] = /\/tmp\/vmsecretd-demo\.\w{6}/.exec(stdout) ?? [];
    t.not(folder, '');
    t.notOk(existsSync(folder), `${folder} is gone`);
  },
);
