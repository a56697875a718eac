import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { unitObjectPath } from '../../src/supervisor/unit/unit-watch.js';
import { createSystemctl, parseUnitFacts, shareReads, unitPhase } from '../../src/system/systemctl.js';

// The same with a real systemd: test/systemd/real-systemd.test.ts.
const FAILING = join(import.meta.dirname, '../../../test/fixtures/bin/systemctl-refuses');

t.test('reads what systemctl shows of a running unit', t => {
  const facts = parseUnitFacts(
    'MainPID=63\nStatusText=a = b\nResult=success\nUID=65534\nNRestarts=2\nExecMainCode=0\nExecMainStatus=0\nRestartUSec=5s\n' +
      'ConditionResult=yes\nWorkingDirectory=!/srv/a\nNetworkNamespacePath=/run/netns/red\nUser=nobody\nLoadState=loaded\nActiveState=active\nSubState=running\nInvocationID=2bb9\n',
  );
  t.strictSame(facts, {
    loadState: 'loaded',
    activeState: 'active',
    subState: 'running',
    result: 'success',
    mainPid: 63,
    mainStatus: 0,
    mainEndedBySignal: false,
    conditionMet: true,
    user: 'nobody',
    uid: 65534,
    workingDirectory: '/srv/a',
    networkNamespace: '/run/netns/red',
    statusText: 'a = b',
    restarts: 2,
    restartDelay: '5s',
    invocationId: '2bb9',
    controlGroup: null,
  });
  t.end();
});

t.test('cleans and shortens the status of a unit, which any process of it may set', t => {
  const statusOf = (text: string) => parseUnitFacts(`StatusText=${text}\n`).statusText;
  t.equal(statusOf('up\x1b[2J\x1b]0;owned\x07\x9b31m\u202eb'), 'up [2J ]0;owned 31m b');
  t.equal(statusOf('x'.repeat(10_000))?.length, 200);
  t.equal(statusOf(''), null);
  t.end();
});

t.test('knows no uid of a user who is not there yet, and knows root', t => {
  t.equal(parseUnitFacts('User=nobody\nUID=[not set]\n').uid, null);
  t.equal(parseUnitFacts('User=\nUID=[not set]\n').uid, 0);
  t.equal(parseUnitFacts('User=root\nUID=[not set]\n').uid, 0);
  t.end();
});

t.test('tells what a state means for the VM', t => {
  const phases = [
    ['activating', 'start-post', 'success', 'starting'],
    ['activating', 'auto-restart', 'signal', 'failed'],
    ['activating', 'auto-restart-queued', 'exit-code', 'failed'],
    // The guest powered off by itself, and Restart=always.
    ['activating', 'auto-restart', 'success', 'stopped'],
    ['active', 'running', 'success', 'active'],
    ['reloading', 'reload', 'success', 'active'],
    ['deactivating', 'stop', 'success', 'stopping'],
    ['failed', 'failed', 'exit-code', 'failed'],
    ['inactive', 'dead', 'success', 'stopped'],
  ] as const;
  for (const [activeState, subState, result, phase] of phases) {
    t.equal(unitPhase({ activeState, subState, result }), phase, `${activeState} (${subState}, ${result})`);
  }
  t.end();
});

t.test('names the unit and what systemctl said', async t => {
  const systemctl = createSystemctl({ program: FAILING });
  await t.rejects(systemctl.start('microvm@a.service'), {
    code: 'supervisor_failed',
    message: 'systemctl start microvm@a.service: Failed to start it. Unit not found.',
    details: { unit: 'microvm@a.service' },
  });
  await t.rejects(createSystemctl({ program: '/nonexistent' }).show('a.service'), {
    code: 'supervisor_failed',
  });
});

t.test("writes a unit's D-Bus path as systemd does", t => {
  t.equal(
    unitObjectPath('microvm@my-app.service'),
    '/org/freedesktop/systemd1/unit/microvm_40my_2dapp_2eservice',
  );
  t.equal(unitObjectPath('1a.service'), '/org/freedesktop/systemd1/unit/_31a_2eservice');
  t.end();
});

t.test('runs once at a time for a unit, and after all who are answered by it have asked', async t => {
  const runs = join(t.testdir(), 'runs');
  process.env.SYSTEMCTL_RUNS = runs;
  t.teardown(() => delete process.env.SYSTEMCTL_RUNS);
  const systemctl = createSystemctl({
    program: join(import.meta.dirname, '../../../test/fixtures/bin/systemctl'),
  });
  const asked = Array.from({ length: 1_000 }, () => systemctl.show('a.service'));
  // Later than the first run has begun.
  await new Promise(resolve => setImmediate(resolve));
  asked.push(...Array.from({ length: 1_000 }, () => systemctl.show('a.service')));
  await Promise.all(asked);
  const ran = readFileSync(runs, 'utf8').trim().split('\n');
  t.comment(`${asked.length} asked, systemctl ran ${ran.length} times`);
  t.strictSame(ran, ['show', 'show']);
});

t.test('a read that fails does not keep the next from being tried', async t => {
  let reads = 0;
  const show = shareReads(async () => {
    reads += 1;
    if (reads === 1) throw new Error('refused');
    return reads;
  });
  const first = show('a.service').catch(error => error.message);
  await Promise.resolve();
  const second = show('a.service');
  t.equal(await first, 'refused');
  t.equal(await second, 2);
});
