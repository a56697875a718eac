// Requests that are meant to harm, byte by byte on the daemon's sockets: each gets one answer at most, and that is a refusal.
import { connect } from 'node:net';
import { type SocketName, TIMEOUT_MS } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { callUnix } from './unix-api.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

/** Everything that the daemon says to these bytes until it closes. */
async function say(socketPath: string, bytes: string): Promise<string> {
  const client = connect(socketPath);
  let answer = '';
  client.setEncoding('latin1').on('data', text => {
    answer += text;
  });
  // Who is refused in the middle of a long request may miss why.
  client.on('error', () => {});
  const closed = new Promise(resolve => client.once('close', resolve));
  client.write(bytes, 'latin1');
  await closed;
  return answer;
}

const POST = 'POST /v1/convert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
const SECOND = 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n';

const SMUGGLED: Readonly<Record<string, string>> = {
  'both lengths': `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SECOND}`,
  'both lengths, the other way': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SECOND}`,
  'two lengths': `${POST}Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}${SECOND}`,
  'a list of lengths': `${POST}Content-Length: 2, 60\r\n\r\n{}${SECOND}`,
  'a signed length': `${POST}Content-Length: +2\r\n\r\n{}${SECOND}`,
  'a hexadecimal length': `${POST}Content-Length: 0x2\r\n\r\n{}${SECOND}`,
  'an unknown encoding': `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SECOND}`,
  'an encoding behind chunked': `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SECOND}`,
  'a blank before the colon': `${POST}Content-Length : 2\r\n\r\n{}${SECOND}`,
  'a chunk size that is none': `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n${SECOND}`,
  'a chunk longer than its size': `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n${SECOND}`,
  'a huge chunk size': `${POST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n${SECOND}`,
  'a NUL in a header': `${POST}X: a\0b\r\n\r\n${SECOND}`,
  'a bare line feed': `${POST}X: a\nContent-Length: 2\r\n\r\n{}${SECOND}`,
  'no host': `GET /v1/health HTTP/1.1\r\n\r\n${SECOND}`,
  'another protocol': `GET /v1/health HTTP/9.9\r\nHost: x\r\n\r\n${SECOND}`,
  'an upgrade that we do not know': `CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n${SECOND}`,
};

const TOO_MUCH: Readonly<Record<string, string>> = {
  'a long URL': `GET /${'a'.repeat(64 * 1024)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a long header': `GET /v1/health HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(64 * 1024)}\r\n\r\n`,
  'a thousand headers': `GET /v1/health HTTP/1.1\r\nHost: x\r\n${'Abcdefghi: jklmnopqr\r\n'.repeat(1_000)}\r\n`,
  'a long body in chunks': `${POST}Transfer-Encoding: chunked\r\n\r\n${`10000\r\n${' '.repeat(65_536)}\r\n`.repeat(32)}`,
  'a body that is announced too long': `${POST}Content-Length: 9999999999\r\n\r\n`,
  'a long name': `GET /v1/vms/${'a'.repeat(1_000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
};

daemonTest('answers no request that is hidden in another', options, async (t, { daemon }) => {
  for (const socket of ['admin', 'vmsecretd'] as const) {
    for (const [what, bytes] of Object.entries(SMUGGLED)) {
      const answer = await say(daemon.socket(socket), bytes);
      const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));
      t.ok(statuses.length <= 1, `${what}: one answer at most, not ${statuses}`);
      t.ok(
        statuses.every(status => status >= 400 && status < 500),
        `${what}: ${statuses} is a refusal`,
      );
    }
  }
  t.match(await daemon.call('GET', '/v1/health'), { status: 200 });
});

daemonTest('refuses what is too long, without keeping it', options, async (t, { daemon }) => {
  for (const [what, bytes] of Object.entries(TOO_MUCH)) {
    const answer = await say(daemon.socket('vmsecretd'), bytes);
    t.match(answer, /^(HTTP\/1\.1 4\d\d |$)/, what);
  }
  t.match(await daemon.call('GET', '/v1/health'), { status: 200 });
});

daemonTest('takes JSON as JSON only, and no key that changes other objects', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'x',
    '',
  ];
  for (const type of types) {
    const answer = await say(
      daemon.socket('admin'),
      `PUT /v1/vms/web HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${type === '' ? '' : `Content-Type: ${type}\r\n`}Content-Length: 2\r\n\r\n{}`,
    );
    t.match(
      answer,
      /^HTTP\/1\.1 4\d\d [\s\S]*"code":"(request|definition)_invalid"/,
      `content type "${type}"`,
    );
  }
  const put = async (body: string) => {
    const head = `PUT /v1/vms/web HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n`;
    return say(daemon.socket('admin'), `${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  };
  for (const body of [
    '{"__proto__": {"autostart": true}, "command": "a"}',
    '{"constructor": {"prototype": {"autostart": true}}, "command": "a"}',
    '{"command": "a", "credentials": {"__proto__": {"text": "x"}}}',
    '{"command": "a", "credentials": {"A": {"__proto__": {"file": "/etc/shadow"}}}}',
    '{"command": "a", "hasOwnProperty": 1}',
    '{"command": "a", "credentials": {"A": {"text": "x"}, "A": {"text": "y"}}}',
    '{"command": "a", "command": "b"}',
    'null',
    '[]',
    '"a"',
    '1e999',
    `${'['.repeat(100_000)}`,
    `{"command": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
    '{"command": "a"}{"command": "b"}',
    '\xff\xfe',
    '',
  ]) {
    t.match(await put(body), /^HTTP\/1\.1 4\d\d [\s\S]*"code":"\w+_\w+"/, `refuses ${body.slice(0, 80)}`);
  }
  t.match(await daemon.show('web'), { state: 'stopped', credentials: [{ name: 'CANARY' }] });
});

daemonTest('other methods ask for nothing that the socket does not give', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const paths = ['', '/start', '/definition', '/console', '/prepare'].map(path => `/v1/vms/web${path}`);
  const ask = (socket: SocketName, method: string, path: string) =>
    callUnix({ socketPath: daemon.socket(socket), method, path, timeoutMs: TIMEOUT_MS });
  for (const path of [
    ...paths,
    '/openapi.json',
    '/',
    '//v1/vms',
    '/v1/vms/web/..%2f..%2fhealth',
    '/v1/%76ms/web',
  ]) {
    for (const method of ['OPTIONS', 'TRACE', 'PATCH', 'PROPFIND', 'LINK']) {
      const { status } = await ask('vmsecretd', method, path);
      t.ok([204, 403, 404, 405, 501].includes(status), `${method} ${path} on vmsecretd.sock: ${status}`);
    }
  }
  t.equal((await ask('vmsecretd', 'HEAD', '/v1/vms/web/definition')).status, 403);
  t.equal((await ask('admin', 'HEAD', '/v1/vms/web/definition')).status, 200);
  t.match(await daemon.show('web'), { state: 'stopped' });
});
