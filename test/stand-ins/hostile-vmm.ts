// A VMM that was taken over. It behaves as its VM's name says, STEP-HOW: at that step (ping, create, boot) it answers in that way,
// and well at all others. What it could answer is in ANSWERS; the names without an answer end the program.

import { createServer, type Socket } from 'node:net';

const GOOD: Record<string, string> = {
  ping: 'HTTP/1.1 200 \r\nContent-Length: 20\r\n\r\n{"version":"53.0.0"}',
  create: 'HTTP/1.1 204 \r\n\r\n',
  boot: 'HTTP/1.1 204 \r\n\r\n',
};

/** What would redraw a terminal, set its title, or type into it. */
const ESCAPES = '\x1b[2J\x1b]0;owned\x07\x1b[6n\x9b31m\u202eevil\r\n'.repeat(1_000);

type Answer = (socket: Socket, body: string) => void;

const ANSWERS: Record<string, Answer> = {
  endless: socket => flood(socket, 'HTTP/1.1 200 \r\n\r\n', 'x'),
  chunks: socket => flood(socket, 'HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'),
  informational: socket => flood(socket, '', 'HTTP/1.1 103 \r\nLink: <a>\r\n\r\n'),
  headers: socket => flood(socket, 'HTTP/1.1 200 \r\n', 'a: b\r\n'),
  huge: socket => flood(socket, 'HTTP/1.1 200 \r\nContent-Length: 100000000\r\n\r\n', 'x', 100_000_000),
  slow: socket => {
    socket.write('HTTP/1.1 200 \r\nContent-Length: 1000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 20);
    socket.once('close', () => clearInterval(timer));
  },
  silent: () => {},
  garbage: socket => socket.end(Buffer.from('\xff\x00SSH-2.0 not HTTP\r\n\r\n', 'latin1')),
  upgrade: socket => socket.write('HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: owned\r\n\r\n'),
  types: socket => respond(socket, 400, '[1,null,{"__proto__":{"a":1},"toString":1},["x"],true]'),
  null: socket => respond(socket, 400, 'null'),
  status: socket => respond(socket, 302, ''),
  closes: socket => socket.end(),
  half: socket => socket.end('HTTP/1.1 204'),
  escapes: socket => respond(socket, 500, JSON.stringify([ESCAPES])),
  quotes: (socket, body) => respond(socket, 400, JSON.stringify([body])),
  // The request that asks why has no secret in it; what the program remembers has.
  remembers: (socket, body) => {
    remembered ||= body;
    respond(socket, 400, JSON.stringify(['Error creating VM', remembered]));
  },
  // What it was given a request before, in an answer and in its last words.
  recites: socket => respond(socket, 500, JSON.stringify([created])),
  confesses: () => {
    process.stderr.write(`${created}\n`);
    process.exit(1);
  },
  dies: () => die(),
};

let remembered = '';

/** As fast as it is read. */
function flood(socket: Socket, head: string, repeated: string, sizeBytes = Number.POSITIVE_INFINITY): void {
  const piece = repeated.repeat(Math.ceil(65_536 / repeated.length));
  let left = sizeBytes;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left -= piece.length;
      if (!socket.write(piece)) return void socket.once('drain', more);
    }
  };
  socket.write(head);
  more();
}

function respond(socket: Socket, status: number, body: string): void {
  socket.end(`HTTP/1.1 ${status} \r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function die(): never {
  process.stderr.write(ESCAPES);
  process.exit(1);
}

/** What vm.info shows. */
let created = 'null';

function serve(socket: Socket, misbehaves: (step: string) => string | undefined): void {
  let text = '';
  socket.on('error', () => {}).setEncoding('latin1');
  socket.on('data', chunk => {
    text += chunk;
    const [head = '', body] = text.split(/\r\n\r\n(.*)/s, 2);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (body === undefined || body.length < length) return;
    text = '';
    const step = /\/api\/v1\/vmm?\.([a-z-]+)/.exec(head)?.[1] ?? '';
    const how = misbehaves(step);
    if (step === 'create') created = body;
    if (step === 'info' && how === undefined) respond(socket, 200, `{"config":${created},"state":"Created"}`);
    else if (how === undefined) socket.write(GOOD[step] ?? 'HTTP/1.1 204 \r\n\r\n');
    else ANSWERS[how]?.(socket, body);
  });
}

function run(argv: readonly string[]): void {
  const apiSocket = (argv.find(word => word.startsWith('path=')) ?? '').slice('path='.length);
  const vmName = /\/vms\/([^/]+)\/api\.sock$/.exec(apiSocket)?.[1] ?? '';
  const [, at, how = ''] = /^([a-z]+)-([a-z]+)$/.exec(vmName) ?? [];
  if (vmName === 'before-listening') die();
  const server = createServer(socket => serve(socket, step => (step === at ? how : undefined)));
  server.listen(apiSocket, () => {
    if (vmName === 'after-listening') die();
  });
  process.on('SIGTERM', () => {});
}

run(process.argv.slice(2));
