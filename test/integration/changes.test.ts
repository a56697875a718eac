// What changes around VMs: secrets and definitions, other VMs, and what the metrics say of it.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

/** As agenix does: every generation a folder, and a link that is swapped. */
function swapGeneration({ daemon }: Rig, generation: string, secret: string): string {
  const link = join(daemon.folder, 'agenix');
  mkdirSync(join(daemon.folder, 'agenix.d', generation), { recursive: true });
  writeFileSync(join(daemon.folder, 'agenix.d', generation, 'password'), secret);
  symlinkSync(join('agenix.d', generation), `${link}.new`);
  renameSync(`${link}.new`, link);
  return join(link, 'password');
}

daemonTest('shows what is outdated, across a daemon’s end, until a restart', options, async (t, rig) => {
  const { daemon, canary } = rig;
  const file = swapGeneration(rig, '1', 'first');
  await defineVm(STAND_IN, rig, 'web', { more: { credentials: { PASSWORD: { file } } } });
  await daemon.act('web', 'start');
  swapGeneration(rig, '2', 'second');
  await daemon.untilVm('web', 'is outdated', vm => vm.outdated.includes('credential PASSWORD'));
  t.match(daemon.events.filter(({ type }) => type === 'outdated').at(-1), {
    vm: 'web',
    outdated: ['credential PASSWORD'],
  });
  t.match((await daemon.call('GET', '/metrics')).body.toString(), /^vmsecretd_vms_outdated 1$/m);
  await daemon.act('web', 'reboot');
  t.same((await daemon.show('web')).outdated, ['credential PASSWORD'], 'a reboot keeps the old secrets');
  await daemon.kill9();
  await daemon.seal('canary', `${canary.text}-newer`);
  await daemon.restart();
  await daemon.untilVm('web', 'is outdated twice', vm => vm.outdated.length === 2);
  t.same((await daemon.show('web')).outdated, ['credential CANARY', 'credential PASSWORD']);
  t.match(await daemon.ctl('restart', '--outdated'), { status: 0 });
  t.match(await daemon.show('web'), { state: 'running', outdated: [] });
});

daemonTest('restarts with onChange, but not into a start that would fail', options, async (t, rig) => {
  const { daemon } = rig;
  const file = join(daemon.secrets, 'password');
  writeFileSync(file, 'first');
  const more = { onChange: 'restart', credentials: { PASSWORD: { file } } };
  await defineVm(STAND_IN, rig, 'web', { more });
  const { pid } = await daemon.act('web', 'start');
  writeFileSync(file, 'second');
  const again = await daemon.untilVm('web', 'was restarted', vm => vm.state === 'running' && vm.pid !== pid);
  t.same(again.outdated, []);
  writeFileSync(join(daemon.secrets, 'canary.age'), 'no age file');
  await daemon.until('the refusal is logged', () =>
    daemon.log.some(record => String(record.msg).startsWith('onChange: restart failed')),
  );
  const runsOn = { state: 'running', pid: again.pid, outdated: ['credential CANARY'], problem: null };
  t.match(await daemon.show('web'), runsOn);
  t.match(await daemon.ctl('restart', 'web'), { status: 1, stderr: /CANARY.*\(so it was not stopped\)/s });
  t.match(await daemon.show('web'), runsOn, 'nor when it is asked for');
});

daemonTest('is not stopped for a definition that lacks something on the host', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'web');
  const { pid } = await daemon.act('web', 'start');
  await daemon.define('web', { ...definition, command: STAND_IN.command('/nowhere/vmlinux') });
  const refused = await daemon.call('POST', '/v1/vms/web/restart');
  const detail = /kernel \/nowhere\/vmlinux does not exist.*\(so it was not stopped\)/;
  t.match(refused, { status: 409, json: { code: 'resource_conflict', detail } });
  t.match(await daemon.show('web'), { state: 'running', pid });
  await daemon.define('web', definition);
  t.match(await daemon.act('web', 'restart'), { state: 'running' }, 'what it has itself is not missing');
});

daemonTest('a VM that lacks a secret starts when the secret comes', options, async (t, rig) => {
  const { daemon } = rig;
  const file = join(daemon.secrets, 'late');
  await defineVm(STAND_IN, rig, 'web', { more: { restart: 'on-failure', credentials: { LATE: { file } } } });
  await defineVm(STAND_IN, rig, 'gone', { more: { restart: 'on-failure', credentials: { LATE: { file } } } });
  for (const name of ['gone', 'web'])
    t.match((await daemon.call('POST', `/v1/vms/${name}/start`)).json, { code: 'secret_missing' });
  t.match(await daemon.call('DELETE', '/v1/vms/gone'), { status: 204 });
  await daemon.until('its end is told', () =>
    daemon.events.some(
      ({ vm, type, change }) => vm === 'gone' && type === 'definition' && change === 'removed',
    ),
  );
  writeFileSync(file, 'here');
  await daemon.untilVm('web', 'runs', vm => vm.state === 'running');
  t.match(
    await daemon.call('GET', '/v1/vms/gone'),
    { status: 404 },
    'one that was deleted meanwhile does not',
  );
  const metrics = (await daemon.call('GET', '/metrics')).body.toString();
  t.match(metrics, /^vmsecretd_failures_total\{code="secret_missing",during="start"\} 2$/m);
});

daemonTest('reads a definition file again when it changes under a VM that runs', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'kept');
  const path = join(daemon.definitions, 'web.json');
  const write = (json: object) =>
    writeFileSync(path, JSON.stringify({ ...definition, supervisor: 'daemon', ...json }));
  write({});
  await daemon.call('POST', '/v1/reload');
  await daemon.act('web', 'start');
  write({ oemStrings: ['new'] });
  await daemon.untilVm('web', 'is outdated', vm => vm.outdated.includes('definition'));
  write({ restart: 'no', stopTimeoutSeconds: 5 });
  await daemon.untilVm('web', 'is as declared', vm => vm.outdated.length === 0);
  rmSync(path);
  t.match(await daemon.show('web'), { state: 'running' });
});

daemonTest('refuses what another VM has, before and after a daemon’s end', options, async (t, rig) => {
  const { daemon } = rig;
  const kernel = join(daemon.folder, 'first.elf');
  const net = ['--net', 'mac=02:00:00:00:00:01'];
  for (const name of ['first', 'second']) {
    await defineVm(STAND_IN, rig, name, { more: { command: [...STAND_IN.command(kernel), ...net] } });
  }
  await daemon.act('first', 'start');
  const refusal = {
    status: 409,
    json: { code: 'resource_conflict', detail: /VM first has the MAC address 02:00:00:00:00:01/ },
  };
  t.match(await daemon.call('POST', '/v1/vms/second/start'), refusal);
  await daemon.kill9();
  await daemon.restart();
  t.match(await daemon.call('POST', '/v1/vms/second/start'), refusal);
  t.match((await daemon.call('POST', '/v1/vms/second/check')).json, {
    ok: false,
    checks: [
      { name: 'definition' },
      { name: 'command' },
      { name: 'host', ok: false },
      { name: 'credential CANARY' },
    ],
  });
  await daemon.act('first', 'stop');
  await daemon.act('second', 'start');
  await defineVm(STAND_IN, rig, 'third', { more: { command: STAND_IN.command('/nowhere/vmlinux') } });
  t.match(await daemon.call('POST', '/v1/vms/third/start'), {
    status: 409,
    json: { code: 'resource_conflict', detail: /kernel \/nowhere\/vmlinux does not exist/ },
  });
  const metrics = (await daemon.call('GET', '/metrics', undefined, 'vmsecretd')).body.toString();
  t.match(metrics, /^vmsecretd_failures_total\{code="resource_conflict",during="start"\} 2$/m);
  t.match(metrics, /^vmsecretd_start_duration_seconds_count\{phase="boot"\} 1$/m);
});

daemonTest(
  'restart --outdated knows what a daemon that has just started has not compared',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    for (const name of ['web', 'db']) {
      const credentials = { KEY: { age: await daemon.seal(name, 'old') } };
      await defineVm(STAND_IN, rig, name, { more: { credentials } });
      await daemon.act(name, 'start');
    }
    const { pid } = await daemon.show('web');
    const db = await daemon.show('db');
    await daemon.kill9();
    await daemon.seal('web', 'new');
    await daemon.restart();
    const { status, stdout } = await daemon.ctl('restart', '--outdated');
    t.equal(status, 0);
    t.match(stdout, /^web +running/m);
    t.notMatch(stdout, /^db/m);
    t.not((await daemon.show('web')).pid, pid);
    t.equal((await daemon.show('db')).pid, db.pid);
    t.match(await daemon.ctl('restart', '--outdated'), { status: 0, stdout: 'No VM to act on.\n' });
    // A swap of which no watcher has told yet.
    await daemon.seal('db', 'new');
    t.match(await daemon.ctl('restart', '--outdated'), { status: 0, stdout: /^db +running/m });
  },
);
