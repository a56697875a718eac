// The rules and the dashboard, taken by the real Prometheus, on the metrics of a real daemon with a VM.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { daemonTest } from '../integration/daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from '../integration/vmm.js';
import { readBlock } from '../setup/pages.js';
import { findPrometheus } from './prometheus-program.js';

const found = findPrometheus();
const skip = typeof found === 'string' && found;
const programs = typeof found === 'string' ? { prometheus: '', promtool: '' } : found;
const RULES = resolve('docs/monitoring/rules.yml');

interface Panel {
  title: string;
  type: string;
  targets?: { expr: string }[];
}
interface Dashboard {
  panels: (Panel & { id: number; gridPos: { x: number; y: number; w: number; h: number } })[];
  templating: { list: { name: string; definition?: string }[] };
}

const dashboard: Dashboard = JSON.parse(readFileSync('docs/monitoring/dashboard.json', 'utf8'));
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr })),
);

/** What there is nothing of in a VM without a network, a unit and a failure. */
const MAY_BE_EMPTY = ['Network, by the guest', 'Block devices of the host', 'Failures'];

t.test('promtool takes the rules, and each alert fires as its test says', { skip }, t => {
  const promtool = (args: readonly string[]) => execFileSync(programs.promtool, args, { encoding: 'utf8' });
  t.match(promtool(['check', 'rules', '--lint=all', '--lint-fatal', RULES]), /SUCCESS: [1-9]\d* rules found/);
  t.match(promtool(['test', 'rules', 'docs/monitoring/rules.test.yml']), /SUCCESS/);
  const tests = readFileSync('docs/monitoring/rules.test.yml', 'utf8');
  for (const [, alert] of readFileSync(RULES, 'utf8').matchAll(/alert: (\w+)/g))
    t.match(
      tests,
      new RegExp(`alertname: ${alert}\\s+exp_alerts:\\s+(\\[\\s*\\{|- )`),
      `${alert} fires in a test`,
    );
  t.end();
});

t.test('panels have an id of their own, stand inside the grid, and none covers another', t => {
  const { panels } = dashboard;
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const [index, { title, gridPos: a }] of panels.entries()) {
    t.ok(a.x >= 0 && a.w > 0 && a.x + a.w <= 24, title);
    for (const { title: other, gridPos: b } of panels.slice(index + 1)) {
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
      t.ok(isApart, `${title} and ${other}`);
    }
  }
  const variables = new Set(['__rate_interval', ...dashboard.templating.list.map(({ name }) => name)]);
  for (const [, name = ''] of JSON.stringify(dashboard).matchAll(/\$\{?(\w+)/g))
    t.ok(variables.has(name) || name === '__all', `$${name} is a variable`);
  t.end();
});

const vmm = CLOUD_HYPERVISOR.skip === false ? CLOUD_HYPERVISOR : STAND_IN;
const port = skip === false ? await freePort() : 0;
const options = {
  skip,
  config: { hypervisors: vmm.hypervisors, metrics: { listen: `127.0.0.1:${port}` } },
};

daemonTest('the real Prometheus loads the rules and answers each panel', options, async (t, rig) => {
  const disk = join(rig.daemon.folder, 'disk.raw');
  writeFileSync(disk, Buffer.alloc(1024 * 1024));
  await defineVm(
    { ...vmm, command: kernel => [...vmm.command(kernel), '--disk', `path=${disk},image_type=raw`] },
    rig,
    'web',
  );
  await rig.daemon.act('web', 'start');
  const text = (await rig.daemon.call('GET', '/metrics')).body;
  // Its lint is told on standard output, with status 3.
  execFileSync(programs.promtool, ['check', 'metrics'], { input: text });

  const query = await startPrometheus(t, port);
  const ask = async (expr: string) => (await query(`query?query=${encodeURIComponent(filled(expr))}`)).result;
  // A rate takes two scrapes.
  while ((await ask('rate(vmsecretd_vm_cpu_seconds_total[1m])')).length === 0) await delay(500);
  for (const { title, expr } of expressions) {
    const result = await ask(expr);
    if (!MAY_BE_EMPTY.includes(title)) t.ok(result.length > 0, `${title}: ${expr}`);
  }
  const { groups } = await query('rules');
  t.strictSame(
    groups.flatMap(({ rules }) => rules.map(({ name, health }) => `${name} ${health}`)).toSorted(),
    [...readFileSync(RULES, 'utf8').matchAll(/alert: (\w+)/g)].map(([, name]) => `${name} ok`).toSorted(),
  );
});

function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(instance|vm)\b/g, '.*');
}

interface Answer {
  result: unknown[];
  groups: { rules: { name: string; health: string }[] }[];
}

async function startPrometheus(t: { teardown(end: () => Promise<void>): void }, target: number) {
  const folder = mkdtempSync(join(tmpdir(), 'vmsd-prometheus-'));
  const listen = `127.0.0.1:${await freePort()}`;
  const block = readBlock('docs/monitoring.md', 'rule_files');
  const config = `global: { scrape_interval: 1s, evaluation_interval: 1s }\n${block}`
    .replace('/usr/local/lib/vmsecretd/docs/monitoring/rules.yml', RULES)
    .replace('127.0.0.1:9101', `127.0.0.1:${target}`);
  writeFileSync(join(folder, 'prometheus.yml'), config);
  execFileSync(programs.promtool, ['check', 'config', join(folder, 'prometheus.yml')]);
  const child: ChildProcess = spawn(
    programs.prometheus,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${listen}`,
    ],
    { stdio: 'ignore' },
  );
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(folder, { recursive: true });
  });
  const isReady = () =>
    fetch(`http://${listen}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isReady())) await delay(200);
  return async (path: string): Promise<Answer> => {
    const answer = (await (await fetch(`http://${listen}/api/v1/${path}`)).json()) as {
      status: string;
      error?: string;
      data: Answer;
    };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  };
}

/** For a moment another program could take it. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
