// The HTTP interface on its sockets: who may call what, how long a call waits, what streams and what is refused.
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { requestUnix } from '../../src/system/unix-http.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { type SocketName, TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { openUnix } from './unix-api.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

const ADMIN_ROUTES = [
  'PUT /v1/vms/{name}',
  'DELETE /v1/vms/{name}',
  'GET /v1/vms/{name}/definition',
  'POST /v1/vms/{name}/console',
  'POST /v1/vms/{name}/prepare',
  'GET /v1/vms/{name}/booted',
];
const OPERATOR_ROUTES = [
  'GET /v1/vms',
  'GET /v1/vms/{name}',
  ...['start', 'stop', 'restart', 'reboot', 'kill', 'pause', 'resume', 'refresh', 'check'].map(
    verb => `POST /v1/vms/{name}/${verb}`,
  ),
  'GET /v1/vms/{name}/command',
  'GET /v1/vms/{name}/console',
  'POST /v1/convert',
  'POST /v1/reload',
  'GET /v1/events',
  'GET /v1/paths',
  'GET /v1/health',
  'GET /v1/version',
  'GET /metrics',
];
const SOCKETS: readonly SocketName[] = ['admin', 'vmsecretd'];

daemonTest('gives each socket its routes and no others', options, async (t, { daemon }) => {
  const { paths } = (await daemon.call('GET', '/openapi.json')).json as { paths: Record<string, object> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
  // Operators get what is listed for them: a new route whose `access` is forgotten would be theirs.
  t.strictSame(routes.toSorted(), [...ADMIN_ROUTES, ...OPERATOR_ROUTES].toSorted());
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    const allowed = ADMIN_ROUTES.includes(route) ? ['admin'] : ['admin', 'vmsecretd'];
    for (const socket of SOCKETS) {
      const response = await openUnix({
        socketPath: daemon.socket(socket),
        method,
        path: path.replace('{name}', 'nobody'),
        body: method === 'GET' || method === 'DELETE' ? undefined : { unknown: true },
        timeoutMs: TIMEOUT_MS,
      });
      t.equal(response.statusCode !== 403, allowed.includes(socket), `${route} on ${socket}.sock`);
      response.destroy();
    }
  }
});

daemonTest('gives its sockets and folders their modes', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  await daemon.act('web', 'start');
  const modes = {
    'admin.sock': 0o600,
    'vmsecretd.sock': 0o660,
    'vms/web': 0o700,
    records: 0o700,
    'records/web.json': 0o600,
    'digest-key': 0o600,
  };
  for (const [file, mode] of Object.entries(modes)) {
    t.equal(statSync(join(daemon.runtime, file)).mode & 0o777, mode, file);
  }
});

daemonTest('tells health, version and its interface', options, async (t, { daemon }) => {
  t.match(await daemon.call('GET', '/v1/health'), { status: 200, json: { status: 'ok' } });
  t.match(await daemon.call('GET', '/v1/version'), {
    json: { version: /^\d+\.\d+\.\d+/, node: process.version },
  });
  t.match(await daemon.call('GET', '/openapi.json'), {
    json: { openapi: /^3\./, info: { title: 'vmsecretd' } },
  });
});

daemonTest(
  'a place of metrics that cannot be had is told, and VMs do without',
  { config: { ...options.config, metrics: { listen: '/proc/metrics.sock' } } },
  async (t, { daemon }) => {
    t.match(await daemon.call('GET', '/v1/health'), { status: 200 });
    t.match(
      daemon.log.find(({ msg }) => msg === 'no metrics are served'),
      { level: 50 },
    );
  },
);

daemonTest('refuses with a problem document what it does not understand', options, async (t, { daemon }) => {
  await daemon.define('web', { supervisor: 'daemon', command: ['--kernel', '/nowhere'] });
  const cases: [method: string, path: string, body: unknown, status: number, code: string][] = [
    ['GET', '/v1/nothing', undefined, 404, 'request_invalid'],
    ['GET', '/v1/vms/wen', undefined, 404, 'vm_unknown'],
    ['GET', '/v1/events?vm=wen', undefined, 404, 'vm_unknown'],
    ['POST', '/v1/vms/web/start?wait=never', undefined, 400, 'request_invalid'],
    ['POST', '/v1/vms/web/start?timeout=0', undefined, 400, 'request_invalid'],
    ['POST', '/v1/vms/web/start?patience=1', undefined, 400, 'request_invalid'],
    ['POST', '/v1/convert', { command: {} }, 400, 'request_invalid'],
    ['POST', '/v1/convert', { command: ['--kernel', '/k', '--cpus', 'boot=many'] }, 422, 'command_invalid'],
    ['POST', '/v1/vms/web/console', { text: 'x' }, 400, 'request_invalid'],
    ['POST', '/v1/vms/web/console', Buffer.from('x'), 409, 'state_conflict'],
  ];
  for (const [method, path, body, status, code] of cases) {
    const answer = await daemon.call(method, path, body);
    const json = { code, status, title: String, detail: String, type: `urn:vmsecretd:error:${code}` };
    t.match(answer, { status, type: /^application\/problem\+json/, json }, `${method} ${path}`);
  }
  t.match((await daemon.call('GET', '/v1/vms/wen')).json, { detail: /did you mean.*web/i });
  t.match((await daemon.call('POST', '/v1/vms/web/start?patience=1')).json, { detail: /"patience"/ });
  const form = await requestUnix({
    socketPath: daemon.socket('admin'),
    method: 'PUT',
    path: '/v1/vms/web',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from('{}'),
    timeoutMs: TIMEOUT_MS,
  });
  t.match(form.body.toString(), /the header \\"content-type: application\/json/);
});

daemonTest('answers when the wait is met, or says why it cannot be', options, async (t, rig) => {
  const { daemon } = rig;
  const post = (query: string) => daemon.call('POST', `/v1/vms/web/${query}`);
  const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
  const withVsock = [...(command as string[]), '--vsock', 'cid=3,socket=vsock.sock'];
  await daemon.define('web', { ...rest, command: withVsock, ready: 'notify' });
  t.match(await post('start?wait=none'), { status: 202, json: { state: /^(stopped|starting)$/ } });
  t.match(await post('start?wait=running'), { status: 200, json: { state: 'running', ready: false } });
  t.match(await post('start?wait=ready&timeout=1'), {
    status: 504,
    json: { code: 'ready_timeout', state: 'running' },
  });
  t.match(await post('start?wait=stopped&timeout=1'), {
    status: 504,
    json: { code: 'vmm_timeout', state: 'running' },
  });
  t.match(await post('stop?wait=stopped'), { status: 200, json: { state: 'stopped' } });
  await defineVm(STAND_IN, rig, 'web');
  t.match(await post('start?wait=ready'), { status: 200, json: { state: 'running', ready: true } });
  const ended = post('start?wait=stopped');
  await post('kill');
  t.match(await ended, { status: 200, json: { state: 'stopped' } });
});

daemonTest('streams events, of one VM where asked', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  await defineVm(STAND_IN, rig, 'db');
  const stream = await openUnix({
    socketPath: daemon.socket('vmsecretd'),
    method: 'GET',
    path: '/v1/events?vm=web',
    timeoutMs: TIMEOUT_MS,
  });
  t.match(stream.headers['content-type'], 'text/event-stream');
  await daemon.act('db', 'start');
  await daemon.act('web', 'start');
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    text += chunk;
    if (text.includes('event: ready')) break;
  }
  t.match(text, /event: state\ndata: {"vm":"web","at":"[^"]+Z","from":"stopped","state":"starting"}\n\n/);
  t.notMatch(text, '"db"');
  t.match(
    daemon.events.find(event => event.type === 'credentials' && event.vm === 'web'),
    { credentials: [{ name: 'CANARY', source: 'age', sizeBytes: rig.canary.text.length }] },
  );
});

function followConsole({ daemon }: Rig) {
  const path = '/v1/vms/web/console?follow=true';
  return openUnix({ socketPath: daemon.socket('vmsecretd'), method: 'GET', path, timeoutMs: TIMEOUT_MS });
}

daemonTest(
  'shows the console, follows it over a restart of the VM, and takes input',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    const recent = await daemon.call('GET', '/v1/vms/web/console', undefined, 'vmsecretd');
    t.match(recent, { status: 200, type: 'application/octet-stream' });
    t.match(recent.body.toString(), END_OF_OEM_STRINGS);
    t.match(await daemon.call('POST', '/v1/vms/web/console', Buffer.from('ls\n')), { status: 204 });
    const stream = await followConsole(rig);
    await daemon.act('web', 'restart');
    let text = '';
    for await (const chunk of stream.setEncoding('latin1')) {
      text += chunk;
      if (text.split(END_OF_OEM_STRINGS).length > 2) break;
    }
    t.equal(text.split(END_OF_OEM_STRINGS).length, 3, 'both boots are seen');
  },
);

daemonTest(
  'of those who follow the console of a VM the oldest gives way to the 65th',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    const follow = async () => {
      const stream = await followConsole(rig);
      t.teardown(() => stream.destroy());
      const closed = new Promise(resolve => stream.on('error', () => {}).once('close', resolve));
      return { stream, closed };
    };
    const oldest = await follow();
    const others = await Promise.all(Array.from({ length: 63 }, follow));
    t.equal(oldest.stream.resume().closed, false);
    const newest = await follow();
    await oldest.closed;
    t.same(
      [...others, newest].filter(({ stream }) => stream.closed),
      [],
    );
  },
);

daemonTest('shows the command line with sizes in place of secrets', options, async (t, rig) => {
  const { daemon, canary } = rig;
  await defineVm(STAND_IN, rig, 'web', { more: { oemStrings: ['fixed'] } });
  const placeholder = (size: string) => `io.systemd.credential.binary:CANARY=<CANARY: ${size}>`;
  t.match((await daemon.call('GET', '/v1/vms/web/command', undefined, 'vmsecretd')).json, {
    vmConfig: { platform: { oem_strings: ['fixed', placeholder('size known once started')] } },
  });
  await daemon.act('web', 'start');
  const {
    command,
    vmConfig,
    arguments: args,
  } = (await daemon.call('GET', '/v1/vms/web/command')).json as {
    command: string[];
    vmConfig: unknown;
    arguments: string[];
  };
  const shown = placeholder(`${canary.text.length} bytes`);
  t.match(vmConfig, { platform: { oem_strings: ['fixed', shown] } });
  t.ok(command.some(word => word.includes(shown)));
  t.strictSame(args, ['--api-socket', `path=${join(daemon.runtime, 'vms', 'web', 'api.sock')}`]);
});

daemonTest('checks a VM without starting it', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  t.match((await daemon.call('POST', '/v1/vms/web/check', undefined, 'vmsecretd')).json, {
    ok: true,
    checks: [
      { name: 'definition' },
      { name: 'command' },
      { name: 'host', ok: true },
      { name: 'credential CANARY', ok: true, detail: /bytes/ },
    ],
  });
  t.strictSame(daemon.vmms(), []);
  t.match(await daemon.show('web'), { state: 'stopped' });
});

daemonTest('converts a command line', options, async (t, { daemon }) => {
  const command = '--kernel /k --memory size=64M --api-socket /tmp/a.sock';
  t.match(await daemon.call('POST', '/v1/convert', { command }, 'vmsecretd'), {
    status: 200,
    json: {
      vmConfig: { payload: { kernel: '/k' }, memory: { size: 67_108_864 } },
      needsFileDescriptors: [],
    },
  });
  const withDescriptors = `${command} --net fd=[3] tap=a --event-monitor fd=4`;
  t.match(await daemon.call('POST', '/v1/convert', { command: withDescriptors }), {
    status: 200,
    json: { needsFileDescriptors: ['--net', '--event-monitor'] },
  });
});

daemonTest('goes on when clients talk nonsense or leave', options, async (t, { daemon }) => {
  const nonsense = connect(daemon.socket('vmsecretd'));
  nonsense.end('\0\xff GET nothing\r\n\r\n');
  await new Promise(resolve => nonsense.resume().once('close', resolve));
  // Only announced: the daemon answers and closes at once, and whoever still writes may miss what it said.
  const large = connect(daemon.socket('admin'));
  large.write('POST /v1/convert HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n');
  large.write(`content-length: ${1024 * 1024 + 1}\r\n\r\n`);
  const answer: Buffer[] = [];
  await new Promise(resolve => large.on('data', bytes => answer.push(bytes)).once('close', resolve));
  const [, body = ''] = Buffer.concat(answer).toString().split('\r\n\r\n');
  t.match(JSON.parse(body), { code: 'request_invalid' });
  t.match(await daemon.call('GET', '/v1/health'), { status: 200 });
});

daemonTest(
  'says what a query takes, and passes over nothing that it does not know',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    const refusals: [string, string, RegExp][] = [
      ['POST', '/v1/vms/web/start?wait=foo', /wait takes none, running, ready, stopped/],
      ['POST', '/v1/vms/web/stop?wait=', /wait takes none, running, ready, stopped/],
      ['GET', '/v1/vms?foo=1', /unknown key "foo"/],
      ['GET', '/v1/vms/web?verbose=1', /unknown key "verbose"/],
      ['POST', '/v1/reload?force=true', /unknown key "force"/],
      ['GET', '/v1/health?x', /unknown key "x"/],
      ['POST', '/v1/vms/web/check?fast=1', /unknown key "fast"/],
    ];
    for (const [method, path, detail] of refusals)
      t.match((await daemon.call(method, path)).json, { code: 'request_invalid', status: 400, detail }, path);
    t.match(await daemon.show('web'), { state: 'stopped' });
    for (const name of ['we*', '*', 'a%20b', '-web', 'x'.repeat(65)]) {
      const answer = await daemon.call('POST', `/v1/vms/${name}/start`);
      t.match(
        answer.json,
        { code: 'vm_unknown', status: 404, detail: /There is no VM .*: a name has 1 to 64/ },
        name,
      );
    }
    t.match(await daemon.ctl('start', 'x*'), { status: 3, stderr: /No VM matches x\*/ });
  },
);
