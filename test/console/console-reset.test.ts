import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Console } from '../../src/console/console.js';
import { socketFolder } from '../setup/socket-folder.js';

t.test('a VMM that is killed with input unread resets the connection, and the daemon lives on', async t => {
  const path = join(socketFolder(t), 'console.sock');
  const server = createServer({ pauseOnConnect: true }).listen(path);
  await once(server, 'listening');
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const vmConsole = new Console();
  await vmConsole.connect({ kind: 'socket', path });
  const [socket] = await connected;
  const rejections: unknown[] = [];
  const note = (reason: unknown) => rejections.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  t.ok(await vmConsole.write(Buffer.from('never read')));
  server.close();
  socket.destroy();
  await once(server, 'close');
  await vmConsole.disconnect();
  t.same(rejections, []);
});
