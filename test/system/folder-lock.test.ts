import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { lockFolder } from '../../src/system/folder-lock.js';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { spawnNode } from '../setup/spawn-node.js';

t.test('one process at a time has a folder, until it ends', async t => {
  const folder = join(t.testdir(), 'state');
  const module = pathToFileURL(join(PROJECT_ROOT, 'dist/src/system/folder-lock.js'));
  const script = `const { lockFolder } = await import('${module}'); await lockFolder(process.argv[1]);
    console.log('locked'); setInterval(() => {}, 1e6);`;
  const other = spawnNode(['--input-type=module', '-e', script, folder], { env: { PATH: process.env.PATH } });
  await once(other.stdout, 'data');
  await t.rejects(lockFolder(folder), {
    code: 'resource_conflict',
    message: new RegExp(`Another daemon uses the state directory ${folder}; stop it, or give`),
  });
  other.kill('SIGKILL');
  const unlock = await lockFolder(folder);
  await t.rejects(lockFolder(folder), { code: 'resource_conflict' });
  await unlock();
  await (await lockFolder(folder))();
});
