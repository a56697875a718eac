import t from 'tap';
import { bootDebian, whyNoDebianSystem } from './debian-system.js';

const skip = whyNoDebianSystem();

t.test('boots a real systemd, runs scripts in it, and powers off', { skip, timeout: 700_000 }, async t => {
  const system = await bootDebian();
  t.after(() => system.close());

  const state = await system.run('systemctl is-system-running --wait; node --version; cat /proc/1/comm');
  t.equal(state.output, `running\n${process.version}\nsystemd\n`);
  t.equal(state.status, 0);

  const failure = await system.run('echo to-stderr >&2; exit 3');
  t.strictSame(failure, { status: 3, output: 'to-stderr\n' });

  const both = await Promise.all([
    system.run('mkfifo /run/meet; cat /run/meet'),
    system.run('until test -p /run/meet; do sleep 0.05; done; echo met > /run/meet'),
  ]);
  t.equal(both[0]?.output, 'met\n', 'two scripts run at the same time');

  await t.rejects(system.run('echo before; sleep 60', { deadlineMs: 500 }), /waited 500 ms.*before/s);
  await system.run('touch /left-behind');
  await system.powerOff();
  t.match(system.consoleText(), /Powering off/);
});

t.test('two at once do not share the cgroups of their units', { skip, timeout: 240_000 }, async t => {
  const systems = await Promise.all([bootDebian(), bootDebian()]);
  for (const system of systems) t.after(() => system.close());
  for (const system of systems) await system.run('systemd-run --quiet --unit same sleep infinity');
  const left = await systems[0]?.run('systemctl stop same; find /sys/fs/cgroup -name same.service');
  t.equal(left?.output, '', 'the cgroup of a stopped unit is empty, and gone');
});

t.test('starts every run from the same tree', { skip, timeout: 240_000 }, async t => {
  const system = await bootDebian();
  t.after(() => system.close());
  const { status } = await system.run('test ! -e /left-behind');
  t.equal(status, 0);
});
