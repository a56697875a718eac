import { once } from 'node:events';
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { serveVarlink, VarlinkError, type VarlinkService } from '../../src/system/varlink.js';
import { socketFolder } from '../setup/socket-folder.js';

const EXAMPLE: VarlinkService = {
  interface: 'org.example.Thing',
  description: 'interface org.example.Thing\n\nmethod Echo(text: string) -> (text: string)\n',
  vendor: 'v',
  product: 'p',
  version: '1',
  methods: {
    Echo: async ({ text }) => ({ text }),
    Refuse: async () => {
      throw new VarlinkError('org.example.Thing.No', { why: 'so' });
    },
    Count: async (_, more) => {
      if (more === undefined) throw new VarlinkError('org.varlink.service.ExpectedMore');
      for (const n of [1, 2]) more.send({ n });
      return { n: 3 };
    },
  },
};

async function serve(t: Test): Promise<string> {
  const path = join(socketFolder(t), 'thing.sock');
  t.teardown(await serveVarlink(path, EXAMPLE));
  return path;
}

/** What is answered until the other side has said so many messages, or has gone. */
async function say(path: string, text: string, count: number): Promise<unknown[]> {
  const socket = connect(path).setEncoding('utf8');
  let answers = '';
  socket.on('data', chunk => {
    answers += chunk;
    if (answers.split('\0').length > count) socket.end();
  });
  socket.on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return answers
    .split('\0')
    .filter(answer => answer !== '')
    .map(answer => JSON.parse(answer));
}

const call = (method: string, more: object = {}) => `${JSON.stringify({ method, ...more })}\0`;

t.test('answers each call in its turn, and root’s alone', async t => {
  const path = await serve(t);
  t.equal(statSync(path).mode & 0o777, 0o600);
  const echo = (text: string) => call('org.example.Thing.Echo', { parameters: { text } });
  t.strictSame(await say(path, echo('a\u{1F511}') + call('org.example.Thing.Refuse') + echo('b'), 3), [
    { parameters: { text: 'a\u{1F511}' } },
    { error: 'org.example.Thing.No', parameters: { why: 'so' } },
    { parameters: { text: 'b' } },
  ]);
  t.strictSame(await say(path, call('org.example.Thing.Count', { more: true }), 3), [
    { parameters: { n: 1 }, continues: true },
    { parameters: { n: 2 }, continues: true },
    { parameters: { n: 3 } },
  ]);
  const oneway = call('org.example.Thing.Echo', { parameters: { text: 'a' }, oneway: true });
  t.strictSame(await say(path, oneway + echo('b'), 1), [{ parameters: { text: 'b' } }]);
});

t.test('describes itself, and names what it does not know', async t => {
  const path = await serve(t);
  const [info, description, ...errors] = await say(
    path,
    call('org.varlink.service.GetInfo') +
      call('org.varlink.service.GetInterfaceDescription', {
        parameters: { interface: 'org.example.Thing' },
      }) +
      call('org.varlink.service.GetInterfaceDescription', { parameters: { interface: 'a.b' } }) +
      call('org.example.Thing.toString') +
      call('a.b.C') +
      call('org.example.Thing.Count'),
    6,
  );
  t.match(info, { parameters: { interfaces: ['org.varlink.service', 'org.example.Thing'] } });
  t.strictSame(description, { parameters: { description: EXAMPLE.description } });
  t.strictSame(
    errors.map(error => (error as { error: string }).error),
    ['InterfaceNotFound', 'MethodNotFound', 'InterfaceNotFound', 'ExpectedMore'].map(
      name => `org.varlink.service.${name}`,
    ),
  );
});

t.test('hangs up on what is no varlink, and goes on for others', async t => {
  const path = await serve(t);
  for (const text of ['GET / HTTP/1.1\r\n\r\n\0', 'null\0', '[]\0', '{"method":7}\0', 'x'.repeat(100_000)])
    t.strictSame(await say(path, text, 1), [], JSON.stringify(text.slice(0, 20)));
  t.strictSame(await say(path, call('org.example.Thing.Echo', { parameters: { text: 'a' } }), 1), [
    { parameters: { text: 'a' } },
  ]);
});
