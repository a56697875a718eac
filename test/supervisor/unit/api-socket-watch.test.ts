import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { watchApiSockets } from '../../../src/supervisor/unit/api-socket-watch.js';
import { Changes } from '../../setup/changes.js';
import { socketFolder } from '../../setup/socket-folder.js';

t.test('tells of each socket that is made, and of nothing else', async t => {
  const folder = socketFolder(t);
  const told = new Changes<string>();
  t.teardown(watchApiSockets(folder, vm => told.push(vm)));
  const listen = async (name: string) => {
    const server = createServer().listen(join(folder, name));
    await once(server, 'listening');
    return () => new Promise(resolve => server.close(resolve));
  };
  writeFileSync(join(folder, 'file.sock'), '');
  const close = await listen('web.sock');
  await told.until('it is told', seen => seen.includes('web'));
  await close();
  rmSync(join(folder, 'file.sock'));
  told.forget();
  const end = await listen('db.sock');
  await told.until('the next is told', seen => seen.includes('db'));
  t.notOk(told.seen.includes('web'), 'not that it went');
  t.notOk(told.seen.includes('file'));
  await end();
});

t.test('a folder that is not there is no fault', async () => {
  watchApiSockets('/no/such/folder', () => {})();
});
