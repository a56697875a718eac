import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { callVmm, createVm, waitForApi } from '../../../src/hypervisor/cloud-hypervisor/api-client.js';
import { socketFolder } from '../../setup/socket-folder.js';

const NEVER = new AbortController().signal;
const BODY = Buffer.from('{"platform":{"oem_strings":["S3CR3T"]}}');
const EXPLAIN = Buffer.from('{"platform":{"oem_strings":[]}}');

const web = (socketPath: string, timeoutMs = 5000) => ({ vm: 'web', socketPath, timeoutMs });

interface Reply {
  readonly status?: number;
  readonly body?: string;
}

/** An API socket that answers each request with what `reply` gives for its body; requests are kept. */
async function listen(t: Test, reply: (body: string, request: IncomingMessage) => Reply) {
  const socketPath = join(socketFolder(t), 'api.sock');
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    requests.push(`${request.method} ${request.url}`);
    const { status = 204, body: answer = '' } = reply(body, request);
    response.writeHead(status).end(answer);
  });
  await once(server.listen(socketPath), 'listening');
  t.teardown(() => server.close());
  return { socketPath, requests };
}

/** A server that answers any bytes with these. */
async function listenRaw(t: Test, answer: string) {
  const socketPath = join(socketFolder(t), 'raw.sock');
  const server = createNetServer(socket =>
    socket.on('error', () => {}).once('data', () => socket.end(answer)),
  );
  await once(server.listen(socketPath), 'listening');
  t.teardown(() => server.close());
  return socketPath;
}

test('sends vm.create once and is content with 204', async t => {
  const { socketPath, requests } = await listen(t, () => ({}));
  await createVm(web(socketPath), BODY, EXPLAIN);
  t.strictSame(requests, ['PUT /api/v1/vm.create']);
});

test('shows of a refused vm.create only what the VMM says of the config without secrets', async t => {
  const { socketPath } = await listen(t, body => ({
    status: 400,
    body: JSON.stringify(['Failed', body.includes('S3CR3T') ? 'invalid: "S3CR3T"' : 'invalid: memory']),
  }));
  await t.rejects(createVm(web(socketPath), BODY, EXPLAIN), {
    code: 'vmm_refused',
    message: 'VM web: cloud-hypervisor refused vm.create with status 400',
    words: 'Failed: invalid: memory',
  });
});

test('tells only the status where the config without secrets is taken, or there is none', async t => {
  const { socketPath } = await listen(t, body =>
    body.includes('S3CR3T') ? { status: 400, body: '["S3CR3T"]' } : {},
  );
  for (const explain of [EXPLAIN, undefined]) {
    await t.rejects(createVm(web(socketPath), BODY, explain), {
      code: 'vmm_refused',
      message: /status 400$/,
      words: undefined,
    });
  }
});

test('takes away what a refused vm.create left before it asks why', async t => {
  let hasVm = false;
  const { socketPath, requests } = await listen(t, (_body, { url }) => {
    if (url?.endsWith('vm.delete')) hasVm = false;
    else if (hasVm) return { status: 500, body: '["VM is already created"]' };
    else hasVm = true;
    return url?.endsWith('vm.delete') ? {} : { status: 500, body: '["No such file or directory"]' };
  });
  await t.rejects(createVm(web(socketPath), BODY, EXPLAIN), {
    message: /status 500$/,
    words: 'No such file or directory',
  });
  t.strictSame(requests, ['PUT /api/v1/vm.create', 'PUT /api/v1/vm.delete', 'PUT /api/v1/vm.create']);
});

test('a config without secrets is not sent twice', async t => {
  const { socketPath, requests } = await listen(t, () => ({ status: 500, body: '["No such file"]' }));
  await t.rejects(createVm(web(socketPath), EXPLAIN, Buffer.from(EXPLAIN)), {
    message: /status 500$/,
    words: 'No such file',
  });
  t.strictSame(requests, ['PUT /api/v1/vm.create']);
});

test('tells what the VMM says of another request, cut and without control characters', async t => {
  const { socketPath, requests } = await listen(t, () => ({
    status: 500,
    body: JSON.stringify(['Error', '\x1b[31mred', 7, null, 'x'.repeat(10_000)]),
  }));
  await t.rejects(callVmm(web(socketPath), 'vm.boot'), {
    code: 'vmm_refused',
    message: 'VM web: cloud-hypervisor refused vm.boot with status 500',
    words: /^Error: {2}\[31mred: x{500,600}$/,
    details: { request: 'vm.boot', status: 500 },
  });
  t.strictSame(requests, ['PUT /api/v1/vm.boot']);
});

for (const body of ['', 'no JSON', '{"a":1}', 'null', '7', '[]', '[{"a":1}]', '[["a"]]']) {
  test(`says that no reason was given for an answer of ${JSON.stringify(body)}`, async t => {
    const { socketPath } = await listen(t, () => ({ status: 500, body }));
    await t.rejects(callVmm(web(socketPath), 'vm.boot'), {
      message: /status 500$/,
      words: 'no reason given',
    });
  });
}

test('gives up on a server that is no VMM: silent, cut off, no HTTP', async t => {
  const { socketPath } = await listen(t, (_, request) => {
    request.socket.destroy();
    return {};
  });
  await t.rejects(callVmm(web(socketPath), 'vm.boot'), {
    code: 'vmm_refused',
    message: /ECONNRESET/,
  });
  const ssh = await listenRaw(t, 'SSH-2.0-x\r\n');
  await t.rejects(callVmm(web(ssh), 'vm.boot'), { code: 'vmm_refused', message: /HPE_/ });
  const slow = await listenRaw(t, '');
  await t.rejects(callVmm(web(slow), 'vm.boot'), { code: 'vmm_refused' });
  const silent = join(socketFolder(t), 'silent.sock');
  const server = createNetServer();
  await once(server.listen(silent), 'listening');
  t.teardown(() => server.close());
  server.on('connection', socket => t.teardown(() => socket.destroy()));
  await t.rejects(callVmm(web(silent, 50), 'vm.boot'), {
    code: 'vmm_timeout',
    details: { request: 'vm.boot' },
  });
});

test('ends with the reason of an abort', async t => {
  const abort = new AbortController();
  const waiting = waitForApi(web(join(socketFolder(t), 'none.sock')), abort.signal);
  abort.abort(new Error('cancelled'));
  await t.rejects(waiting, { message: 'cancelled' });
});

test('waits for an API socket that is not there yet, and tells the version', async t => {
  const socketPath = join(socketFolder(t), 'late.sock');
  const waiting = waitForApi(web(socketPath), NEVER);
  const server = createServer((_, response) => response.end('{"version":"53.0.0"}'));
  t.teardown(() => server.close());
  server.listen(socketPath);
  t.equal(await waiting, '53.0.0');
});

test('calls a version unknown that is no text', async t => {
  for (const body of ['{}', '{"version":53}', '[]', '7']) {
    const { socketPath } = await listen(t, () => ({ status: 200, body }));
    t.equal(await waitForApi(web(socketPath), NEVER), 'unknown', body);
  }
});

test('takes nothing else for an API that answers', async t => {
  for (const body of ['', 'no JSON', 'null']) {
    const { socketPath } = await listen(t, () => ({ status: 200, body }));
    await t.rejects(waitForApi(web(socketPath), NEVER), { code: 'vmm_refused' }, body);
  }
});

test('says vmm_timeout when no socket appears in time', async t => {
  await t.rejects(waitForApi(web(join(socketFolder(t), 'none'), 20), NEVER), { code: 'vmm_timeout' });
});

test('keeps control characters out of the version', async t => {
  const { socketPath } = await listen(t, () => ({ status: 200, body: '{"version":"\\u001b[31m53"}' }));
  t.match(await waitForApi(web(socketPath), NEVER), /^[\x20-\x7e]*$/);
});
