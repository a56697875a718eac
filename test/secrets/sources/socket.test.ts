import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadIdentities } from '../../../src/secrets/identities.js';
import { SourceSession } from '../../../src/secrets/source.js';
import { credentialAddress } from '../../../src/system/connect-from.js';
import { openOne, refusalOf } from '../../setup/open-source.js';
import { whyNotOnPath } from '../../setup/programs.js';
import { socketFolder } from '../../setup/socket-folder.js';

async function serve(t: Test, answer: (socket: Socket) => void): Promise<string> {
  const path = join(socketFolder(t), 'x.sock');
  const server = createServer(socket => {
    socket.on('error', () => {});
    answer(socket);
  }).listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return path;
}

t.test('the value is what the service sends, to the end', async t => {
  t.equal(await openOne({ socket: await serve(t, socket => socket.end('a\0b\n')) }), 'a\0b\n');
  const large = Buffer.alloc(1024 * 1024, 'x');
  t.equal((await openOne({ socket: await serve(t, socket => socket.end(large)) })).length, large.length);
});

/** What the service's own kernel call says of who connects. */
const PEER = `use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un($ARGV[0])); listen(S, 1);
  $| = 1; print "ready\\n"; accept(C, S); print C unpack_sockaddr_un(getpeername(C));`;

t.test(
  'the service learns whose credential it is, as with LoadCredential=',
  { skip: whyNotOnPath('perl') },
  async t => {
    const path = join(socketFolder(t), 'x.sock');
    const perl = spawn('perl', ['-e', PEER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(perl.stdout, 'data');
    const identities = await loadIdentities({ vm: 'web', paths: [], passphraseFiles: [] });
    const session = new SourceSession({ identities, unit: 'microvm@web.service' });
    const value = await session.open({ vm: 'web', credential: 'API_KEY', source: { socket: path } });
    t.match(value.open(String), /^\0[0-9a-f]{16,}\/unit\/microvm@web\.service\/API_KEY$/);
  },
);

t.test('names that fit into no address are refused', async t => {
  t.equal(credentialAddress('x'.repeat(40), 'y'.repeat(44))?.length, 108);
  t.equal(credentialAddress('x'.repeat(40), 'y'.repeat(45)), null);
  t.not(credentialAddress('a.service', 'b'), credentialAddress('a.service', 'b'), 'each is its own');
});

t.test('a service that sends nothing, too much, or resets fails', async t => {
  t.match(await refusalOf({ socket: await serve(t, socket => socket.end()) }), {
    code: 'secret_missing',
    message: /x\.sock sent nothing: its service has no such credential, or refused/,
  });
  const flood = await serve(t, socket => socket.end(Buffer.alloc(2 * 1024 * 1024, 'the-secret')));
  const error = await refusalOf({ socket: flood });
  t.match(error, { code: 'secret_too_large', message: /sent more than the limit of 1048576 bytes/ });
  t.notMatch(error.message, 'the-secret');
});

t.test('what is no socket that answers says so', async t => {
  const folder = socketFolder(t);
  const at = (name: string) => join(folder, name);
  writeFileSync(at('file'), 'x');
  t.match(await refusalOf({ socket: at('none') }), {
    code: 'secret_missing',
    message: /none does not exist/,
  });
  t.match(await refusalOf({ socket: at('file') }), {
    code: 'secret_unreadable',
    message: /it is not a socket/,
  });
  const server = createServer().listen(at('left'));
  await once(server, 'listening');
  const path = at('left');
  const { linkSync } = await import('node:fs');
  linkSync(path, at('kept'));
  server.close();
  t.match(await refusalOf({ socket: at('kept') }), {
    code: 'secret_unreadable',
    message: /no service listens on /,
  });
});
