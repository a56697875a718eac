import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import Fastify from 'fastify';
import t from 'tap';
import { DaemonSockets } from '../../src/http/daemon-sockets.js';
import { callUnix } from '../integration/unix-api.js';
import { socketFolder } from '../setup/socket-folder.js';

const TIMEOUT_MS = 20_000;

t.test('lets clients go that stall in the middle of a request, and answers the others', async t => {
  const runtimeDirectory = socketFolder(t);
  const sockets = new DaemonSockets({
    runtimeDirectory,
    operatorGid: undefined,
    activatedSockets: new Map(),
    requestTimeoutMs: 400,
  });
  const app = Fastify();
  app.get('/v1/health', async () => ({}));
  app.post('/v1/convert', async request => request.body);
  await app.ready();
  await sockets.listen(app);
  t.teardown(() => sockets.close());
  const beginnings = [
    '',
    'GET /v1/hea',
    'GET /v1/health HTTP/1.1\r\nhost: x\r\n',
    'POST /v1/convert HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"a":',
  ];
  const path = join(runtimeDirectory, 'admin.sock');
  const stalled = beginnings.flatMap(beginning =>
    Array.from({ length: 25 }, () => {
      const socket = connect(path).resume();
      socket.write(beginning);
      return once(socket, 'close', { signal: AbortSignal.timeout(TIMEOUT_MS) });
    }),
  );
  const health = { socketPath: path, method: 'GET', path: '/v1/health', timeoutMs: TIMEOUT_MS };
  t.match(await callUnix(health), { status: 200 });
  await Promise.all(stalled);
  t.pass('all 100 were let go');
});
