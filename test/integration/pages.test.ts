// What the pages of the reference show, asked of a real daemon: each call of docs/http-api.md with the status it tells, a VM, a metric
// and an error as they are printed there, and definitions and a configuration that the programs take.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { splitCommand } from '../../src/definition/split-command.js';
import { readBlock, readPage } from '../setup/pages.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };
const API = 'docs/http-api.md';
const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));

/** The calls in an order in which each is possible; what a page says of a status stands beside it. */
const CALLS: readonly [call: string, status: number, body?: unknown, query?: string][] = [
  ['GET /v1/health', 200],
  ['GET /v1/version', 200],
  ['GET /v1/paths', 200],
  ['GET /openapi.json', 200],
  ['GET /metrics', 200],
  ['POST /v1/convert', 200, { command: ['--kernel', '/k'] }],
  ['PUT /v1/vms/NAME', 201, 'definition'],
  ['PUT /v1/vms/NAME', 200, 'definition'],
  ['POST /v1/reload', 200],
  ['GET /v1/vms', 200],
  ['GET /v1/vms/NAME', 200],
  ['GET /v1/vms/NAME/definition', 200],
  ['POST /v1/vms/NAME/check', 200],
  ['POST /v1/vms/NAME/start', 202, undefined, '?wait=none'],
  ['POST /v1/vms/NAME/start', 200],
  ['POST /v1/vms/NAME/start', 200, undefined, '?wait=ready'],
  ['GET /v1/vms/NAME/command', 200],
  ['GET /v1/vms/NAME/console', 200],
  ['POST /v1/vms/NAME/console', 204, Buffer.from('typed')],
  ['POST /v1/vms/NAME/pause', 200],
  ['POST /v1/vms/NAME/resume', 200],
  ['POST /v1/vms/NAME/reboot', 200],
  // It was started without the channel; refresh.test.ts has the others.
  ['POST /v1/vms/NAME/refresh', 409],
  ['POST /v1/vms/NAME/restart', 200],
  ['DELETE /v1/vms/NAME', 409],
  ['POST /v1/vms/NAME/stop', 200],
  ['POST /v1/vms/NAME/stop', 200],
  ['POST /v1/vms/NAME/kill', 200],
  ['DELETE /v1/vms/NAME', 204],
];

/** They do not end by themselves, or are for a unit's process alone. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'GET /v1/events': 'http.test.ts, "streams events"',
  'POST /v1/vms/NAME/prepare': 'every VM of test/systemd',
  'GET /v1/vms/NAME/booted': 'every VM of test/systemd',
};

type Check = (t: Test, rig: Rig) => Promise<void>;

const checkCalls: Check = async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'other');
  const calls = [...readPage(API).matchAll(/^\| `([A-Z]+ \/[^`?]*)` +\| (.*?) *\|$/gm)];
  const rows = new Map(calls.map(([, call = '', does = '']) => [call, does]));
  t.strictSame(
    [...rows.keys()].toSorted(),
    [...new Set([...CALLS.map(([call]) => call), ...Object.keys(ELSEWHERE)])].toSorted(),
  );
  for (const [call, status, body, query = ''] of CALLS) {
    const [method = '', path = ''] = call.replace('NAME', 'web').split(' ');
    const sent = body === 'definition' ? definition : body;
    t.equal((await daemon.call(method, path + query, sent)).status, status, call);
  }
  for (const [call, does] of rows)
    for (const [told] of does.matchAll(/\b20[0-9]\b/g))
      t.ok(
        CALLS.some(([other, status]) => other === call && status === Number(told)),
        `${call}: ${told} of the page is asked for`,
      );
};

const checkVm: Check = async (t, rig) => {
  await defineVm(STAND_IN, rig, 'web');
  const vm = await rig.daemon.act('web', 'start');
  const shown = JSON.parse(readBlock(API, '{\n  "name"')) as typeof vm;
  t.strictSame(Object.keys(vm), Object.keys(shown));
  t.strictSame(Object.keys(vm.credentials[0] ?? {}), Object.keys(shown.credentials[0] ?? {}));
  const [, table = ''] = readPage(API).split(/^## A VM$|^## Metrics$/m);
  const fields = [...table.matchAll(/^\| `(\w+)` /gm)].map(([, field = '']) => field);
  t.ok(fields.length > 5, 'fields are explained');
  for (const field of fields) t.ok(field in vm, field);
};

const checkError: Check = async (t, rig) => {
  const path = join(rig.daemon.folder, 'nowhere', 'api-key.age');
  const shown = JSON.parse(
    readBlock('docs/errors.md', '{\n  "type"').replaceAll('/etc/secrets/api-key.age', path),
  );
  await rig.daemon.act('web', 'kill');
  await defineVm(STAND_IN, rig, 'web', { more: { credentials: { API_KEY: { age: path } } } });
  t.strictSame((await rig.daemon.call('POST', '/v1/vms/web/start')).json, shown);
};

const checkMetrics: Check = async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'measured');
  await daemon.act('measured', 'start');
  const served = (await daemon.call('GET', '/metrics')).body.toString();
  const names = [...readPage(API).matchAll(/^\| `(vmsecretd_\w+)(?:\{([\w,]+)\})?`/gm)];
  t.ok(names.length > 5, `${names.length}`);
  for (const [, name = '', labels] of names) {
    t.match(served, new RegExp(`^# TYPE ${name} `, 'm'), name);
    for (const label of labels?.split(',') ?? []) t.match(served, new RegExp(`^${name}.*\\b${label}="`, 'm'));
  }
};

/** `vmsecretd --config FILE check FILE…`, as docs/definitions.md has it. */
const checkFiles: Check = async (t, { daemon }) => {
  const files = {
    'web.json': readBlock('docs/definitions.md', '{\n  "command"'),
    'demo.json': readBlock('docs/systemd.md', '{\n  "command"'),
    'part.json': `{"command": ["--kernel", "/k"], ${readBlock('docs/secrets.md', '"credentials"')}}`,
    'settings.json': readBlock('docs/configuration.md', '{'),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(daemon.folder, name), text);
  const args = [DAEMON, '--config', 'settings.json', 'check', 'web.json', 'demo.json', 'part.json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: daemon.folder,
    encoding: 'utf8',
  });
  const valid = Object.keys(files).map(name => `${name}: valid\n`);
  t.strictSame({ status, said: stdout.match(/.*\n/g)?.sort() }, { status: 0, said: valid.sort() });
  t.match(stderr, /^here, the daemon would not start: operatorGroup in .* no group vm-operators;.*\n$/);
};

const checkCommandLine: Check = async (t, { daemon }) => {
  const lines = readBlock('docs/command-line.md', 'vmsecretctl convert').trim().split('\n');
  for (const line of lines) {
    const [program, ...args] = splitCommand(line.replace(/ +#.*/, '').replace('my-app', 'other'));
    t.equal(program, 'vmsecretctl');
    t.match(await daemon.ctl(...args), { status: 0, stderr: '' }, line);
  }
};

daemonTest('what the pages of the reference show is what the programs say', options, async (t, rig) => {
  await t.test('each call, with its status', t => checkCalls(t, rig));
  await t.test('what a command line becomes', t => checkCommandLine(t, rig));
  await t.test('a VM, with its fields', t => checkVm(t, rig));
  await t.test('an error', t => checkError(t, rig));
  await t.test('every metric, with its labels', t => checkMetrics(t, rig));
  await t.test('definitions and a configuration', t => checkFiles(t, rig));
});
