// Clients that connect and ask nothing, or not to the end, keep nobody out. Who may connect is found by name.
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { resolveOperatorGroup } from '../../src/http/daemon-sockets.js';
import { requestUnix } from '../../src/system/unix-http.js';
import { listen } from './listening.js';

const FILES = ['launch.sock', 'vmsecretd.sock', 'admin.sock'];
const CLIENTS = 1_000;

async function serve(t: Test) {
  const app = Fastify();
  app.get('/v1/health', async () => 'well');
  app.post('/v1/echo', async request => request.body);
  app.post(
    '/v1/refused',
    { onRequest: async (_request, reply) => reply.code(403).send('no') },
    async () => '',
  );
  const answerLater = { asked: Promise.resolve(), go: () => {} };
  const go = new Promise<void>(resolve => {
    answerLater.go = resolve;
  });
  answerLater.asked = new Promise(resolve => {
    app.route({
      method: ['GET', 'POST'],
      url: '/v1/later',
      handler: async () => {
        resolve();
        await go;
        return 'later';
      },
    });
  });
  return { ...(await listen(t, app)), answerLater };
}

/** Connects, says so much, and waits for the end. */
async function connectClient(
  path: string,
  words: string,
): Promise<{ client: Socket; closed: Promise<void> }> {
  const client = connect(path);
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()));
  client.on('error', () => {});
  client.resume();
  await new Promise(resolve => client.once('connect', resolve));
  client.write(words);
  return { client, closed };
}

const openDescriptors = () => readdirSync('/proc/self/fd').length;

for (const [what, words] of Object.entries({
  'say nothing': '',
  'do not end their headers': 'POST /v1/echo HTTP/1.1\r\nHost: localhost\r\n',
  'do not end their body':
    'POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"a',
})) {
  test(`${CLIENTS} clients that ${what} keep nobody out, and are turned away`, async t => {
    const { sockets, path } = await serve(t);
    const before = openDescriptors();
    const clients = [];
    for (let count = 0; count < CLIENTS; count += 1)
      clients.push(await connectClient(path('launch.sock'), words));
    await sockets.probe();
    for (const file of FILES) {
      const { status } = await requestUnix({
        socketPath: path(file),
        method: 'GET',
        path: '/v1/health',
        timeoutMs: 2_000,
      });
      t.equal(status, 200, file);
    }
    const theirs = clients.filter(({ client }) => !client.destroyed).length;
    t.ok(theirs <= 256, `${theirs} are left at once`);
    await Promise.all(clients.map(({ closed }) => closed));
    t.ok(openDescriptors() <= before, 'no descriptor is left');
  });
}

test(`${CLIENTS} operators that say nothing keep no other out`, async t => {
  const { sockets, path } = await serve(t);
  const clients = [];
  for (let count = 0; count < CLIENTS; count += 1)
    clients.push(await connectClient(path('vmsecretd.sock'), ''));
  await sockets.probe();
  t.equal(clients.filter(({ client }) => !client.destroyed).length, CLIENTS, 'all are there');
  for (const { client } of clients) client.destroy();
});

test('a client that closes its side without a word is let go', async t => {
  const { path } = await serve(t);
  const { client, closed } = await connectClient(path('launch.sock'), '');
  client.end();
  await closed;
});

test('a client that was answered is let go, though it asked to stay', async t => {
  const { path } = await serve(t);
  const { client, closed } = await connectClient(
    path('launch.sock'),
    'GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n',
  );
  let answer = '';
  client.setEncoding('utf8').on('data', text => {
    answer += text;
  });
  await closed;
  t.match(answer, /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n.*well$/is);
});

test('takes a body in chunks, which may have a byte each, from root alone', async t => {
  const { path } = await serve(t);
  const chunked = `POST /v1/refused HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(9_000)}`;
  for (const socket of ['launch.sock', 'vmsecretd.sock']) {
    for (const request of [chunked, chunked.replace('Host:', 'Expect: something\r\nHost:')]) {
      const { client, closed } = await connectClient(path(socket), request);
      const [answer] = await once(client, 'data');
      t.match(answer.toString(), /^HTTP\/1\.1 411 /, socket);
      await closed;
    }
  }
  const { client } = await connectClient(path('admin.sock'), chunked);
  t.notMatch(String((await once(client, 'data'))[0]), /^HTTP\/1\.1 411 /);
  client.destroy();
});

test('a client that is answered before it has said all can say the rest', async t => {
  const { path } = await serve(t);
  const body = Buffer.alloc(64 * 1024, ' ');
  const { client } = await connectClient(
    path('launch.sock'),
    `POST /v1/refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  const [answer] = await once(client, 'data');
  t.match(answer.toString(), /^HTTP\/1\.1 403 /);
  t.notOk(await new Promise(resolve => client.write(body, resolve)));
  client.destroy();
});

for (const [method, body] of [
  ['GET', undefined],
  ['POST', Buffer.from('"words"')],
] as const) {
  test(`who waits for the answer to a ${method} gives way to no one`, async t => {
    const { path, answerLater } = await serve(t);
    const asking = requestUnix({
      socketPath: path('launch.sock'),
      method,
      path: '/v1/later',
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body }),
      timeoutMs: 10_000,
    });
    await answerLater.asked;
    const clients = [];
    for (let count = 0; count < 300; count += 1) clients.push(await connectClient(path('launch.sock'), ''));
    await clients[0]?.closed;
    answerLater.go();
    t.equal((await asking).body.toString(), 'later');
    for (const { client } of clients) client.destroy();
  });
}

test('finds the operator group of config.json, and refuses one that is not on this host', async t => {
  t.equal(await resolveOperatorGroup('root', '/c'), 0);
  t.equal(await resolveOperatorGroup(undefined, '/c'), undefined, 'the own group of the daemon');
  await t.rejects(resolveOperatorGroup('no-such-group', '/c'), {
    code: 'definition_invalid',
    message:
      'operatorGroup in /c: there is no group no-such-group; groupadd --system no-such-group, or correct it',
    details: { group: 'no-such-group' },
  });
});
