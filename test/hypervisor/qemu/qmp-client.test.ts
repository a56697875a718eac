import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { createQemu } from '../../../src/hypervisor/qemu/qemu.js';
import { connectQmp, type QmpEvent } from '../../../src/hypervisor/qemu/qmp-client.js';
import { socketFolder } from '../../setup/socket-folder.js';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\n';

/** A QMP server that answers each request with what `answer` gives for it; `null` closes the connection. */
async function listen(
  t: Test,
  answer: (request: { execute: string; id: number }) => string | null,
  path?: string,
) {
  const socketPath = path ?? join(socketFolder(t), 'qmp.sock');
  const server = createServer(socket => {
    socket.on('error', () => {}).write(GREETING);
    socket.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n').filter(Boolean)) {
        const request = JSON.parse(line);
        const reply =
          request.execute === 'qmp_capabilities' ? `{"return": {}, "id": ${request.id}}` : answer(request);
        if (reply === null) socket.destroy();
        else socket.write(`${reply}\n`);
      }
    });
  });
  await once(server.listen(socketPath), 'listening');
  t.teardown(() => server.close());
  return socketPath;
}

test('gives answers to the commands they belong to, and events apart', async t => {
  const events: QmpEvent[] = [];
  const path = await listen(t, ({ execute, id }) =>
    execute === 'query-status'
      ? `{"event": "STOP", "data": {"a": 1}}\n{"return": {"status": "paused"}, "id": ${id}}`
      : `{"return": {}, "id": ${id}}`,
  );
  const qmp = await connectQmp(path, { timeoutMs: 5000, onEvent: event => events.push(event) });
  const [status, stopped] = await Promise.all([qmp.execute('query-status'), qmp.execute('stop')]);
  t.strictSame([status, stopped], [{ status: 'paused' }, {}]);
  t.strictSame(events, [{ event: 'STOP', data: { a: 1 } }]);
  qmp.close();
  await qmp.closed;
  await t.rejects(qmp.execute('cont'), { code: 'vmm_refused', message: 'cont' });
});

test("passes QEMU's refusal on, short and without control characters", async t => {
  const desc = `no\\u001b such ${'x'.repeat(1000)}`;
  const path = await listen(
    t,
    ({ id }) => `{"error": {"class": "CommandNotFound", "desc": "${desc}"}, "id": ${id}}`,
  );
  const qmp = await connectQmp(path, { timeoutMs: 5000 });
  await t.rejects(qmp.execute('frobnicate'), {
    code: 'vmm_refused',
    message: 'QEMU refused frobnicate',
    words: /^no {2}such x{150}/,
  });
  qmp.close();
});

test('waits for a socket that is not there yet, but not for ever', async t => {
  const late = join(socketFolder(t), 'late.sock');
  const connecting = connectQmp(late, { timeoutMs: 10_000 });
  await listen(t, () => null, late);
  (await connecting).close();
  const never = join(socketFolder(t), 'never.sock');
  await t.rejects(connectQmp(never, { timeoutMs: 20 }), { code: 'vmm_timeout', message: never });
});

test('ends with the reason of an abort, while it connects and later', async t => {
  const abort = new AbortController();
  const connecting = connectQmp(join(socketFolder(t), 'never.sock'), {
    timeoutMs: 10_000,
    signal: abort.signal,
  });
  abort.abort(new Error('cancelled'));
  await t.rejects(connecting, { message: 'cancelled' });

  const second = new AbortController();
  const qmp = await connectQmp(await listen(t, () => ''), { timeoutMs: 5000, signal: second.signal });
  second.abort(new Error('cancelled'));
  await qmp.closed;
  await t.rejects(qmp.execute('stop'), { message: 'cancelled' });
});

test('does not wait for ever for an answer', async t => {
  const qmp = await connectQmp(await listen(t, () => '{}'), { timeoutMs: 50 });
  await t.rejects(qmp.execute('stop'), { code: 'vmm_timeout', message: 'stop' });
  qmp.close();
});

for (const [what, answer] of [
  ['closes', null],
  ['sends something that is no JSON', 'nonsense'],
  ['sends a line over 1 MiB', `{"return": "${'x'.repeat(1024 * 1024)}"}`],
  ['sends a flood without a line ending', `${'x'.repeat(64 * 1024 * 1024)}`],
] as const) {
  test(`gives a command up when QEMU ${what}`, async t => {
    const qmp = await connectQmp(await listen(t, () => answer), { timeoutMs: 5000 });
    await t.rejects(qmp.execute('stop'), { code: 'vmm_refused', message: /before it answered stop/ });
    await qmp.closed;
  });
}

for (const answer of [
  '{"id": {"toString": 1, "valueOf": 1}, "error": {}}',
  '{"id": [[1]], "return": {}}',
  '{"error": {"desc": {"toString": 1, "valueOf": 1}}, "id": ID}',
  '{"error": "\\u001b[2J", "id": ID}',
  '{"error": null, "id": ID}',
  '{"__proto__": {"event": "STOP"}, "id": null}',
  '[]',
]) {
  test(`survives ${answer}`, async t => {
    const path = await listen(
      t,
      ({ id }) => `${answer.replace('ID', `${id}`)}\n{"error": {"desc": "no"}, "id": ${id}}`,
    );
    const qmp = await connectQmp(path, { timeoutMs: 5000 });
    await t.rejects(qmp.execute('stop'), { code: 'vmm_refused', words: /^[ -~]+$/ });
    qmp.close();
  });
}

for (const version of [
  'null',
  '7',
  '{"qemu": null}',
  '{"qemu": {"major": "7\\n", "minor": [1], "micro": {}}}',
]) {
  test(`calls a version unknown that is ${version}`, async t => {
    const path = await listen(t, ({ id }) => `{"return": ${version}, "id": ${id}}`);
    const qemu = createQemu(async () => '');
    t.match(await qemu.connect('web', path, AbortSignal.timeout(5000)), { version: 'unknown' });
  });
}
