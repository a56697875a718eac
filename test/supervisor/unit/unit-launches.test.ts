// What systemd says of a unit, in and out of order, and what becomes of its VM.
import t from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import {
  active,
  makeUnit,
  powerOff,
  starting,
  waitsForBoot,
  waitsToRestart,
} from '../../vm/systemd-for-test.js';

type Unit = ReturnType<typeof makeUnit>;

/** A run of the unit until its guest is booted. */
async function boot(unit: Unit, invocationId: string): Promise<void> {
  unit.say(starting(invocationId));
  await unit.prepare(invocationId);
  const booted = unit.lifecycle.launches.untilBooted();
  unit.say(waitsForBoot);
  unit.answer();
  await booted;
  unit.say(active);
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve));
}

/** The test's own timeout ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve));
}

t.test('a run whose ExecStartPre= asks is a launch, and its VM runs once it is booted', async t => {
  const unit = makeUnit(t);
  unit.say(starting('a'));
  t.equal(unit.vm.state, 'starting');
  const [text, again] = await Promise.all([unit.prepare('a'), unit.prepare('a')]);
  t.match(text, /^invocation a\nexec \/vmm\n/);
  t.equal(again, text, 'a launcher that asks again shares the launch');
  unit.say(waitsForBoot);
  await settle();
  t.equal(unit.vm.state, 'starting', 'its VMM does not answer yet');
  unit.answer();
  await unit.lifecycle.launches.untilBooted();
  t.match(unit.vm.toJSON(), { state: 'running', pid: 7 });
  await unit.lifecycle.launches.untilBooted();
});

t.test('a start that was expected finds its secrets open, unless they did not open', async t => {
  const unit = makeUnit(t);
  unit.lifecycle.launches.expect();
  await boot(unit, 'a');
  t.equal(unit.host.prepared, 1);
  unit.lifecycle.launches.expect();
  t.equal(unit.host.prepared, 1, 'a VM that runs does not start');
  unit.say(waitsToRestart);
  unit.host.nextFaults.push('secrets');
  unit.lifecycle.launches.expect();
  await settle();
  await boot(unit, 'b');
  t.equal(unit.host.prepared, 3);
  t.equal(unit.vm.state, 'running');
});

t.test('facts of the run before change nothing, whenever they come', async t => {
  const unit = makeUnit(t);
  await boot(unit, 'a');
  unit.say({ ...waitsToRestart });
  t.equal(unit.vm.state, 'failed');
  unit.change(starting('b'));
  await unit.prepare('b');
  // systemctl was asked before, and answers now.
  unit.sayLate({ ...active, invocationId: 'a' });
  unit.sayLate({ ...waitsToRestart, invocationId: 'a' });
  unit.sayLate(powerOff);
  t.equal(unit.vm.state, 'starting');
  unit.say(waitsForBoot);
  unit.answer();
  await unit.lifecycle.launches.untilBooted();
  unit.sayLate({ ...waitsToRestart, invocationId: 'a' });
  t.match(unit.vm.toJSON(), { state: 'running', problem: null });
});

t.test('facts of a run that the daemon never saw, and that come late, do not end a launch', async t => {
  const unit = makeUnit(t);
  unit.change(starting('b'));
  await unit.prepare('b');
  // Such as of the launcher that a daemon before this one did not answer.
  unit.sayLate({ ...waitsToRestart, invocationId: 'a' });
  unit.sayLate(powerOff);
  unit.say(waitsForBoot);
  unit.answer();
  await unit.lifecycle.launches.untilBooted();
  unit.say(active);
  t.match(unit.vm.toJSON(), { state: 'running', problem: null, pid: 7 });
});

t.test('what was read before a run began does not end it, however late the next read is', async t => {
  const unit = makeUnit(t);
  await boot(unit, 'a');
  unit.say(powerOff);
  t.equal(unit.vm.state, 'stopped');
  unit.change(starting('b'));
  await unit.prepare('b');
  unit.change(waitsForBoot);
  unit.answer();
  await unit.lifecycle.launches.untilBooted();
  t.equal(unit.vm.state, 'running');
});

t.test('a guest that powers off by itself is no failure, whatever Restart= makes of it', async t => {
  for (const end of [powerOff, { ...waitsToRestart, result: 'success', mainStatus: 0 }]) {
    const unit = makeUnit(t);
    await boot(unit, 'a');
    unit.say({ activeState: 'deactivating', subState: 'stop-sigterm' }, end);
    t.match(unit.vm.toJSON(), { state: 'stopped', problem: null });
  }
});

t.test('a VMM that breaks is a failure, and says when systemd tries again', async t => {
  const unit = makeUnit(t);
  await boot(unit, 'a');
  unit.say(waitsToRestart);
  t.match(unit.vm.toJSON(), {
    state: 'failed',
    problem: {
      code: 'supervisor_failed',
      detail: /failed \(exit-code, status 1\); see journalctl -u \S+; systemd tries again in 5s$/,
    },
  });
});

t.test(
  'a secret that does not open is told once, to each who asks, with the next try of systemd',
  async t => {
    const unit = makeUnit(t);
    unit.host.nextFaults.push('secrets');
    let end = (_: Error) => {};
    unit.setJob(() => new Promise((_, reject) => (end = reject)));
    const started = unit.lifecycle.start();
    started.catch(() => {});
    await settle();
    unit.say(starting('a'));
    await t.rejects(unit.prepare('a'), { code: 'secret_missing' }, 'the launcher prints it');
    unit.say({ activeState: 'activating', subState: 'auto-restart', result: 'exit-code', mainPid: null });
    end(new Error('Job for microvm@web.service failed'));
    await t.rejects(started, { code: 'secret_missing' }, 'who asked for the start gets the same answer');
    t.match(unit.vm.toJSON(), {
      state: 'failed',
      problem: { code: 'secret_missing', detail: /fault: secrets; systemd tries again in 5s$/ },
    });
    t.strictSame(unit.journal, [], 'the launcher has written it');
  },
);

t.test('a VMM that refuses is told in its own words, though systemd says that a process failed', async t => {
  const unit = makeUnit(t);
  unit.bootFaults.push(
    new VmsecretdError('vmm_refused', 'VM web: refused vm.boot', { details: { answered: true } }),
  );
  let end = (_: Error) => {};
  unit.setJob(() => new Promise((_, reject) => (end = reject)));
  const started = unit.lifecycle.start();
  started.catch(() => {});
  await settle();
  unit.say(starting('a'));
  await unit.prepare('a');
  const waiting = unit.lifecycle.launches.untilBooted();
  waiting.catch(() => {});
  unit.say(waitsForBoot);
  unit.answer();
  // By SIGKILL through systemd, so that no VMM is left.
  await until(() => unit.asked.includes('kill'));
  const signal = { result: 'signal', mainStatus: 9, mainEndedBySignal: true };
  unit.say({ activeState: 'deactivating', mainPid: null, ...signal }, { ...waitsToRestart, ...signal });
  end(new Error('Job for microvm@web.service failed'));
  for (const told of [started, waiting])
    await t.rejects(told, { code: 'vmm_refused', message: /refused vm\.boot/ });
  await until(() => unit.journal.length > 0);
  await settle();
  t.strictSame(unit.journal, ['VM web: refused vm.boot'], 'once');
  t.match(unit.vm.toJSON(), { state: 'failed', problem: { code: 'vmm_refused' } });
});

t.test('a launcher that ends before its VMM answers fails the start', async t => {
  const unit = makeUnit(t);
  unit.say(starting('a'));
  await unit.prepare('a');
  unit.say(waitsForBoot, { mainPid: null, result: 'exit-code', mainStatus: 1 });
  await settle();
  t.match(unit.vm.toJSON(), {
    state: 'failed',
    problem: { code: 'supervisor_failed', detail: /failed \(exit-code, status 1\)/ },
  });
});

t.test(
  'a VMM that systemd has to kill is a failure of a stop of systemd, and none of a stop that was asked for here',
  async t => {
    const killed = { result: 'timeout', mainStatus: 9, mainEndedBySignal: true, mainPid: null };
    const failed = { activeState: 'failed', subState: 'failed', ...killed } as const;
    const theirs = makeUnit(t);
    await boot(theirs, 'a');
    theirs.say({ activeState: 'deactivating', subState: 'stop-sigkill' }, failed);
    t.match(theirs.vm.toJSON(), { state: 'failed', problem: { detail: /failed \(timeout/ } }, 'as its unit');
    const ours = makeUnit(t);
    await boot(ours, 'a');
    ours.setStop(async () => ours.say({ activeState: 'deactivating', subState: 'stop-sigkill' }, failed));
    await ours.lifecycle.stop();
    t.match(ours.vm.toJSON(), { state: 'stopped', problem: null });
    t.ok(ours.asked.includes('reset-failed'));
  },
);

t.test('a stop in the middle of a launch ends it, and is no failure', async t => {
  const unit = makeUnit(t);
  unit.say(starting('a'));
  await unit.prepare('a');
  const waiting = unit.lifecycle.launches.untilBooted();
  waiting.catch(() => {});
  unit.say(waitsForBoot, { activeState: 'deactivating', subState: 'stop-sigterm' });
  unit.say(powerOff);
  await t.rejects(waiting, { message: /ended by a stop of its unit/ });
  await settle();
  t.match(unit.vm.toJSON(), { state: 'stopped' });
});

t.test('a job of systemd that ends without a launch says why', async t => {
  const dependency = makeUnit(t);
  const failed = new VmsecretdError('supervisor_failed', 'systemctl start: A dependency job failed');
  dependency.setJob(async () => {
    throw failed;
  });
  await t.rejects(dependency.lifecycle.start(), failed, 'a dependency failed');
  t.equal(dependency.vm.state, 'stopped');

  const unmet = makeUnit(t);
  unmet.setJob(async () => unmet.change({ conditionMet: false }));
  await t.rejects(unmet.lifecycle.start(), {
    code: 'supervisor_failed',
    message: /was not started, because a condition of it is not met; see systemctl status/,
  });

  const foreign = makeUnit(t);
  foreign.setJob(async () => foreign.change({ ...active, invocationId: 'a' }));
  await t.rejects(foreign.lifecycle.start(), {
    code: 'supervisor_failed',
    message: /runs without vmsecretd/,
  });
});

t.test('untilBooted says why there is nothing to wait for', async t => {
  const unit = makeUnit(t);
  await t.rejects(unit.lifecycle.launches.untilBooted(), {
    code: 'state_conflict',
    message: /its unit does not start it/,
  });
});
