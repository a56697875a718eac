import { readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { get } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import { listenForMetrics, parseMetricsAddress } from '../../src/http/metrics-listener.js';
import { socketFolder } from '../setup/socket-folder.js';

const metrics = { contentType: 'text/plain', render: async () => 'a 1\n' };

function fetchFrom(where: { socketPath: string } | { host: string; port: number }, path: string) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    get({ ...where, path, agent: false }, response => {
      let body = '';
      response.on('data', bytes => {
        body += bytes;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    }).on('error', reject);
  });
}

t.test('takes loopback addresses and absolute paths', t => {
  t.same(parseMetricsAddress('127.0.0.1:9101'), { host: '127.0.0.1', port: 9101 });
  t.same(parseMetricsAddress('localhost:9101'), { host: '127.0.0.1', port: 9101 });
  t.same(parseMetricsAddress('[::1]:9101'), { host: '::1', port: 9101 });
  t.same(parseMetricsAddress('/run/metrics.sock'), { path: '/run/metrics.sock' });
  t.end();
});

t.test('refuses every other address, and names the key', t => {
  for (const listen of [
    '0.0.0.0:9101',
    ':9101',
    '[::]:9101',
    '10.0.0.1:9101',
    'host:9101',
    '127.0.0.1',
    'x.sock',
  ]) {
    t.throws(
      () => parseMetricsAddress(listen),
      { code: 'definition_invalid', message: /metrics\.listen/ },
      listen,
    );
  }
  t.throws(() => parseMetricsAddress('127.0.0.1:0'), VmsecretdError);
  t.throws(() => parseMetricsAddress('127.0.0.1:70000'), VmsecretdError);
  t.end();
});

t.test('serves metrics and nothing else on a socket for its group', async t => {
  const path = join(socketFolder(t), 'metrics.sock');
  const stop = await listenForMetrics({ path }, { metrics }, undefined);
  t.equal((await stat(path)).mode & 0o777, 0o660);
  t.same(await fetchFrom({ socketPath: path }, '/metrics'), { status: 200, body: 'a 1\n' });
  t.equal((await fetchFrom({ socketPath: path }, '/v1/vms')).status, 404);
  await stop();
  await t.rejects(stat(path));
});

t.test('serves on a loopback port, and refuses one that is taken', async t => {
  const probe = createServer();
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await t.rejects(listenForMetrics({ host: '127.0.0.1', port }, { metrics }, undefined), {
    code: 'resource_conflict',
  });
  await new Promise(resolve => probe.close(resolve));
  const stop = await listenForMetrics({ host: '127.0.0.1', port }, { metrics }, undefined);
  t.same(await fetchFrom({ host: '127.0.0.1', port }, '/metrics'), { status: 200, body: 'a 1\n' });
  await stop();
});

t.test('200 clients that ask nothing take few descriptors, and for no longer than a moment', async t => {
  const path = join(socketFolder(t), 'metrics.sock');
  const stop = await listenForMetrics({ path }, { metrics }, undefined);
  const before = readdirSync('/proc/self/fd').length;
  const closed = Array.from({ length: 200 }, () => {
    const client = connect(path)
      .on('error', () => {})
      .resume();
    return new Promise(resolve => client.once('close', resolve));
  });
  // Those that are refused are closed at once, on both sides.
  await Promise.all(closed.slice(100));
  t.ok(readdirSync('/proc/self/fd').length < before + 2 * 100);
  await Promise.all(closed);
  t.same(await fetchFrom({ socketPath: path }, '/metrics'), { status: 200, body: 'a 1\n' });
  await stop();
});

t.test('a client that asks again and again is answered once, and let go', async t => {
  const path = join(socketFolder(t), 'metrics.sock');
  const stop = await listenForMetrics({ path }, { metrics }, undefined);
  const client = connect(path).on('error', () => {});
  client.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1_000));
  let answers = '';
  for await (const piece of client.setEncoding('latin1')) answers += piece;
  t.equal(answers.split('HTTP/1.1 200').length, 2);
  await stop();
});
