// What is installed: the bundles that npm run build made, without node_modules and without the sources.
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { type Bundles, bundle } from '../../build/bundle.js';
import { renderLicenses } from '../../build/licenses.js';
import { renderOpenApi } from '../../build/openapi.js';
import { callUnix } from '../integration/unix-api.js';
import { socketFolder } from '../setup/socket-folder.js';
import { spawnNode } from '../setup/spawn-node.js';

const TIMEOUT_MS = 30_000;

const read = (folder: string, file: string) => readFileSync(join(folder, file), 'utf8');

let again = '';
let bundles: Bundles;

t.before(async () => {
  again = t.testdir({});
  bundles = await bundle(again);
});

t.test(
  'the same sources give the same bytes, and dist/bundle has those of now (else: npm run build)',
  async t => {
    const programs = readdirSync(again);
    t.strictSame(
      programs,
      readdirSync('dist/bundle').filter(file => file.endsWith('.js')),
    );
    for (const file of programs) t.ok(read(again, file) === read('dist/bundle', file), file);
  },
);

t.test('only the deliverer’s has code that opens secrets', async t => {
  const withSecrets = Object.entries(bundles.modules)
    .filter(([, modules]) => modules.some(path => path.startsWith('dist/src/secrets/')))
    .map(([program]) => program);
  t.strictSame(withSecrets, ['run-deliverer']);
});

t.test('none has what schemas are written with and compiled by', async t => {
  t.notOk(bundles.packages.some(path => /\/(typebox|fast-uri|ajv-formats)$/.test(path)));
  const ofAjv = Object.values(bundles.modules)
    .flat()
    .filter(path => path.includes('node_modules/ajv/'));
  t.strictSame(
    ofAjv.filter(path => !path.includes('/runtime/')),
    [],
  );
});

t.test('vmsecretctl has what it needs to ask a daemon, and little else', async t => {
  const modules = bundles.modules.vmsecretctl ?? [];
  for (const name of ['ajv/dist/core', 'fastify/', 'pino/'])
    t.notOk(
      modules.some(path => path.includes(`node_modules/${name}`)),
      name,
    );
});

t.test('every package that is in one has its license beside them', async t => {
  t.ok(bundles.packages.length > 30);
  t.equal(read('dist/bundle', 'LICENSES.txt'), renderLicenses(bundles.packages));
  t.throws(() => renderLicenses(['test/project/no-such-package']));
});

t.test('openapi.json is that of the routes', async t => {
  t.equal(read('dist/bundle', 'openapi.json'), await renderOpenApi());
});

t.test('they run with nothing beside them', async t => {
  const folder = socketFolder(t);
  cpSync('dist/bundle', join(folder, 'dist/bundle'), { recursive: true });
  cpSync('package.json', join(folder, 'package.json'));
  const program = (name: string) => join(folder, `dist/bundle/${name}.js`);
  const places = ['--runtime-directory', '--state-directory', '--definitions'].flatMap(flag => [
    flag,
    folder,
  ]);
  const daemon = spawnNode([program('daemon'), '--config', join(folder, 'config.json'), ...places], {
    cwd: folder,
    // Its watchdog asks the daemon every tenth of a second.
    env: { PATH: process.env.PATH, WATCHDOG_USEC: '200000' },
  });
  t.teardown(async () => {
    daemon.kill();
    await once(daemon, 'exit');
  });
  const log: { msg: string; level: number }[] = [];
  const lines = createInterface(daemon.stdout).on('line', line => log.push(JSON.parse(line)));
  while (!log.some(({ msg }) => msg === 'listening')) await once(lines, 'line');
  const call = async (method: string, path: string, body?: unknown) =>
    callUnix({ socketPath: join(folder, 'admin.sock'), method, path, body, timeoutMs: TIMEOUT_MS });
  t.match(await call('GET', '/openapi.json'), { status: 200, json: { openapi: /^3\./ } });
  t.match(await call('PUT', '/v1/vms/web', { comand: [], autostart: 1 }), {
    status: 422,
    json: { detail: /unknown key "comand"\. Did you mean "command"\?; autostart: must be boolean/ },
  });
  t.match(await call('POST', '/v1/convert', { command: 1 }), { status: 400 });
  t.match(await call('GET', '/v1/vms?compared=maybe'), { status: 400 });
  const definition = {
    supervisor: 'daemon',
    command: ['--kernel', '/nowhere'],
    credentials: { A: { text: 'a' } },
  };
  t.match(await call('PUT', '/v1/vms/web', definition), { status: 201 });
  const { json } = await call('POST', '/v1/vms/web/check');
  const credential = (json as { checks: { name: string; ok: boolean }[] }).checks.find(({ name }) =>
    /credential/.test(name),
  );
  t.match(credential, { ok: true }, 'the deliverer opened it');
  const list = spawnNode([program('vmsecretctl'), '--socket', join(folder, 'admin.sock'), 'list'], {
    cwd: folder,
  });
  const output: Buffer[] = [];
  list.stdout.on('data', data => output.push(data));
  const [status] = await once(list, 'close');
  t.match({ status, output: Buffer.concat(output).toString() }, { status: 0, output: /web/ });
  await delay(500);
  t.strictSame(
    log.filter(({ level }) => level > 40),
    [],
  );
});
