// What any HTTP client may expect: methods, URLs in every form, entity tags, and one form of refusal.
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestDaemon } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

interface Sent {
  headers?: Record<string, string>;
  body?: string;
}

async function send(daemon: TestDaemon, method: string, path: string, { headers = {}, body }: Sent = {}) {
  const outgoing = request({
    socketPath: daemon.socket('admin'),
    method,
    path,
    headers: {
      ...headers,
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    },
  }).end(body);
  const [response] = await once(outgoing, 'response');
  const answered = await text(response);
  daemon.said.push(Buffer.from(answered));
  const isJson = /json/.test(response.headers['content-type'] ?? '');
  return {
    status: response.statusCode,
    headers: response.headers,
    text: answered,
    json: isJson && answered !== '' ? JSON.parse(answered) : undefined,
  };
}

daemonTest('answers other methods with 405 and Allow, and OPTIONS', options, async (t, { daemon }) => {
  const refused: [method: string, path: string, allow: string[]][] = [
    ['POST', '/v1/vms', ['GET', 'HEAD', 'OPTIONS']],
    ['PATCH', '/v1/vms/web', ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']],
    ['GET', '/v1/vms/web/start', ['POST', 'OPTIONS']],
    ['DELETE', '/v1/reload', ['POST', 'OPTIONS']],
    ['PROPFIND', '/v1/vms/', ['GET', 'HEAD', 'OPTIONS']],
    ['PUT', '/openapi.json', ['GET', 'HEAD', 'OPTIONS']],
  ];
  for (const [method, path, allow] of refused) {
    const answer = await send(daemon, method, path, { body: '{"a": 1}' });
    t.match(answer, { status: 405, json: { code: 'method_not_allowed', status: 405 } }, `${method} ${path}`);
    t.strictSame(answer.headers.allow.split(', ').toSorted(), allow.toSorted(), `${method} ${path}`);
    const asked = await send(daemon, 'OPTIONS', path);
    t.match(asked, { status: 204, text: '' }, `OPTIONS ${path}`);
    t.equal(asked.headers.allow, answer.headers.allow);
  }
  t.match(await send(daemon, 'OPTIONS', '*'), { status: 204, headers: { allow: /GET.*OPTIONS/ } });
  for (const [method, path] of [
    ['GET', '/v1/nothing'],
    ['OPTIONS', '/v1/nothing'],
    ['POST', '/openapixjson'],
  ] as const)
    t.match(await send(daemon, method, path), {
      status: 404,
      json: { code: 'request_invalid', status: 404 },
    });
  t.match(await send(daemon, 'GET', `/v1/vms/${'x'.repeat(400)}`), { status: 404 });
});

daemonTest('takes URLs with a slash behind them and in absolute form', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  for (const path of [
    '/v1/vms/',
    '/v1/vms/web/',
    'http://any.host/v1/vms',
    'HTTP://h/v1/vms/web',
    '/v1/vms/?compared=true',
  ])
    t.match(await send(daemon, 'GET', path), { status: 200 }, path);
  t.match(await send(daemon, 'POST', '/v1/vms/web/check/'), { status: 200 });
});

daemonTest('refuses what is no URL, or no HTTP, with a problem document', options, async (t, { daemon }) => {
  for (const path of ['/v1/vms/%zz', '/v1/%', '/v1/vms/%E0%A4%A'])
    t.match(await send(daemon, 'GET', path), {
      status: 400,
      headers: { 'content-type': /^application\/problem\+json/ },
      json: { code: 'request_invalid', status: 400, type: 'urn:vmsecretd:error:request_invalid' },
    });
  const raw = async (bytes: string) => {
    const socket = connect(daemon.socket('vmsecretd'));
    socket.on('error', () => {}).write(bytes);
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    return { head, problem: JSON.parse(body) };
  };
  const cases: [bytes: string, status: number][] = [
    ['GET /v1/v ms HTTP/1.1\r\nhost: x\r\n\r\n', 400],
    ['nonsense\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(100_000)}\r\n\r\n`, 431],
    ['POST /v1/reload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 411],
  ];
  for (const [bytes, status] of cases) {
    const { head, problem } = await raw(bytes);
    t.match(head, new RegExp(`^HTTP/1\\.1 ${status} .*content-type: application/problem\\+json`, 's'));
    t.match(problem, { code: 'request_invalid', status, detail: /./ });
  }
});

daemonTest('refuses a body where none is expected', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const json = { 'content-type': 'application/json' };
  for (const [method, path] of [
    ['POST', '/v1/vms/web/start'],
    ['POST', '/v1/reload'],
    ['GET', '/v1/vms'],
    ['DELETE', '/v1/vms/web'],
  ] as const)
    for (const [body, headers] of [
      ['{"wait": "ready"}', json],
      ['{}', json],
      ['wait=ready', { 'content-type': 'application/x-www-form-urlencoded' }],
    ] as const)
      t.match(await send(daemon, method, path, { body, headers }), {
        status: 400,
        json: { code: 'request_invalid', detail: /takes no body/ },
      });
  t.match(await daemon.show('web'), { state: 'stopped' });
  t.match(await send(daemon, 'POST', '/v1/reload', { body: '', headers: json }), { status: 200 });
});

daemonTest('gives pollers 304 for what has not changed', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  for (const path of ['/v1/vms', '/v1/vms/web', '/v1/vms/web/definition']) {
    const first = await send(daemon, 'GET', path);
    const etag = String(first.headers.etag);
    t.match(etag, /^(W\/)?"[\w-]{20,}"$/, path);
    for (const header of [etag, `"other", ${etag}`, '*', etag.replace('W/', '')]) {
      const again = await send(daemon, 'GET', path, { headers: { 'if-none-match': header } });
      t.match(again, { status: 304, text: '', headers: { etag } }, `${path} ${header}`);
    }
    t.match(await send(daemon, 'GET', path, { headers: { 'if-none-match': '"other"' } }), { status: 200 });
    if (path.endsWith('definition')) continue;
    await daemon.act('web', 'start');
    t.match(await send(daemon, 'GET', path, { headers: { 'if-none-match': etag } }), { status: 200 });
    await daemon.act('web', 'stop');
  }
});

daemonTest(
  'replaces a definition only as If-Match and If-None-Match have it',
  options,
  async (t, { daemon }) => {
    const definition = { supervisor: 'daemon', command: ['--kernel', '/k'] };
    const put = (headers: Record<string, string>, more: object = {}, name = 'web') =>
      send(daemon, 'PUT', `/v1/vms/${name}`, {
        body: JSON.stringify({ ...definition, ...more }),
        headers: { 'content-type': 'application/json', ...headers },
      });
    const refused = { status: 412, json: { code: 'precondition_failed', status: 412 } };
    t.match(await put({ 'if-match': '*' }), refused, 'there is none');
    const created = await put({ 'if-none-match': '*' });
    t.match(created, { status: 201, headers: { location: '/v1/vms/web', etag: /^"/ } });
    t.match(await put({ 'if-none-match': '*' }), refused, 'there is one');
    const read = await send(daemon, 'GET', '/v1/vms/web/definition');
    t.equal(read.headers.etag, created.headers.etag);
    const etag = String(read.headers.etag);
    const replaced = await put({ 'if-match': etag }, { restart: 'always' });
    t.match(replaced, { status: 200, headers: { location: undefined } });
    t.match(await put({ 'if-match': etag }), refused, 'somebody was faster');
    t.match(await put({ 'if-match': `W/${replaced.headers.etag}` }), refused, 'a weak tag is none of these');
    t.match((await send(daemon, 'GET', '/v1/vms/web/definition')).json, { restart: 'always' });
    const racing = await Promise.all(
      ['no', 'on-failure'].map(restart => put({ 'if-match': String(replaced.headers.etag) }, { restart })),
    );
    t.strictSame(racing.map(({ status }) => status).toSorted(), [200, 412], 'one of two wins');
    t.match(await send(daemon, 'DELETE', '/v1/vms/web', { headers: { 'if-match': etag } }), refused);
    t.match(await send(daemon, 'DELETE', '/v1/vms/web', { headers: { 'if-match': '*' } }), { status: 204 });
    t.match(await send(daemon, 'DELETE', '/v1/vms/web', { headers: { 'if-match': '*' } }), { status: 404 });
  },
);
