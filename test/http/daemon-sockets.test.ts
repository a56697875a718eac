// Clients that connect and ask nothing, or not to the end, keep nobody out. Who may connect is found by name.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { resolveOperatorGroup } from '../../src/http/daemon-sockets.js';
import { listen } from './listening.js';

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
  return listen(t, app);
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
  const { client, closed } = await connectClient(path('vmsecretd.sock'), '');
  client.end();
  await closed;
});

test('a client that was answered is let go, though it asked to stay', async t => {
  const { path } = await serve(t);
  const { client, closed } = await connectClient(
    path('vmsecretd.sock'),
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
  for (const request of [chunked, chunked.replace('Host:', 'Expect: something\r\nHost:')]) {
    const { client, closed } = await connectClient(path('vmsecretd.sock'), request);
    const [answer] = await once(client, 'data');
    t.match(answer.toString(), /^HTTP\/1\.1 411 /);
    await closed;
  }
  const { client } = await connectClient(path('admin.sock'), chunked);
  t.notMatch(String((await once(client, 'data'))[0]), /^HTTP\/1\.1 411 /);
  client.destroy();
});

test('a client that is answered before it has said all can say the rest', async t => {
  const { path } = await serve(t);
  const body = Buffer.alloc(64 * 1024, ' ');
  const { client } = await connectClient(
    path('vmsecretd.sock'),
    `POST /v1/refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  const [answer] = await once(client, 'data');
  t.match(answer.toString(), /^HTTP\/1\.1 403 /);
  t.notOk(await new Promise(resolve => client.write(body, resolve)));
  client.destroy();
});

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
