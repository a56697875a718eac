import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { connectDirectly } from '../../src/system/connect-directly.js';
import { requestUnix } from '../../src/system/unix-http.js';
import { socketFolder } from '../setup/socket-folder.js';

t.test('connects to a socket, and to nothing that a link leads to', async t => {
  const folder = socketFolder(t);
  const path = join(folder, 'api.sock');
  let connections = 0;
  const server = createServer(socket => {
    connections += 1;
    socket.on('error', () => {}).end('HTTP/1.1 204 x\r\n\r\n');
  });
  t.teardown(() => server.close());
  await once(server.listen(path), 'listening');
  const socket = await connectDirectly(path);
  t.equal(String((await once(socket, 'data'))[0]), 'HTTP/1.1 204 x\r\n\r\n');
  const request = { method: 'PUT', path: '/a', timeoutMs: 10_000, connect: connectDirectly };
  t.equal((await requestUnix({ ...request, socketPath: path })).status, 204);
  t.equal(connections, 2);

  const link = join(folder, 'link.sock');
  symlinkSync(path, link);
  await t.rejects(connectDirectly(link), { code: 'ECONNREFUSED' });
  await t.rejects(requestUnix({ ...request, socketPath: link }), { code: 'ECONNREFUSED' });
  await t.rejects(connectDirectly(join(folder, 'nothing')), { code: 'ENOENT' });
  writeFileSync(join(folder, 'file'), '');
  await t.rejects(connectDirectly(join(folder, 'file')), { code: 'ECONNREFUSED' });
  t.equal(connections, 2);
});
