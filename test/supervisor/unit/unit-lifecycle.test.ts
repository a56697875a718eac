import pLimit from 'p-limit';
import t from 'tap';
import { UnitLifecycle } from '../../../src/supervisor/unit/unit-lifecycle.js';
import { parseUnitFacts } from '../../../src/system/systemctl.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { MemoryHost } from '../../vm/memory-vmm.js';
import { defineVm, makeEvents, makeRecords, makeVm, runningVm } from '../../vm/vm-for-test.js';

const ACTIVE = parseUnitFacts(
  'LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=1\nResult=success\n',
);

/** A unit whose VM runs, and a systemd that only writes down what it is asked. */
function makeSubject(t: Parameters<typeof socketFolder>[0]) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('web', { supervisor: 'unit' }), events);
  const host = new MemoryHost([3]);
  const asked: string[] = [];
  const ask = (verb: string) => async () => void asked.push(verb);
  const lifecycle = new UnitLifecycle(vm, {
    records: makeRecords(folder, events, () => vm),
    systemctl: {
      start: ask('start'),
      stop: ask('stop'),
      restart: ask('restart'),
      resetFailed: ask('reset-failed'),
      kill: ask('kill'),
      show: async () => ACTIVE,
    },
    unitWatch: { watch: () => () => {} },
    startTools: () => host.startTools(),
    startLimit: pLimit(1),
    writeJournal: async () => {},
  });
  vm.transition('start');
  vm.booted(runningVm(vm));
  return { vm, host, lifecycle, asked };
}

t.test('a restart that would not come up again asks systemd for nothing', async t => {
  const { vm, host, lifecycle, asked } = makeSubject(t);
  host.nextFaults.push('secrets');
  await t.rejects(lifecycle.restart(), { code: 'secret_missing', message: /\(so it was not stopped\)$/ });
  t.same(asked, []);
  t.equal(vm.state, 'running');
});

for (const verb of ['stop', 'kill'] as const)
  t.test(`a ${verb} while a restart is checked is not undone by it`, async t => {
    const { lifecycle, asked } = makeSubject(t);
    const restart = lifecycle.restart();
    // This systemd never says that the unit is down.
    lifecycle[verb]().catch(() => {});
    await t.rejects(restart, { code: 'state_conflict', message: new RegExp(`ended by ${verb}`) });
    t.notOk(asked.includes('restart'));
  });

t.test('a VM that ended while its restart was checked is not started by it', async t => {
  const { vm, lifecycle, asked } = makeSubject(t);
  const restart = lifecycle.restart();
  vm.handleVmmExit({ status: 0, signal: null });
  vm.transition('ended');
  await t.rejects(restart, { code: 'state_conflict', message: /its VMM ended meanwhile/ });
  t.same(asked, []);
});

t.test('a restart asks systemd once its secrets are known to open', async t => {
  const { lifecycle, asked } = makeSubject(t);
  lifecycle.restart().catch(() => {});
  while (!asked.includes('restart')) await new Promise(resolve => setImmediate(resolve));
  t.same(asked, ['restart']);
});

t.test('a pause waits for a reboot: the guest would run again after it', async t => {
  const { vm, lifecycle } = makeSubject(t);
  const told: string[] = [];
  let answer = () => {};
  Object.assign(vm.running?.control ?? {}, {
    reboot: () =>
      new Promise<void>(resolve => {
        answer = () => {
          told.push('reset');
          resolve();
        };
      }),
    pause: async () => void told.push('paused'),
  });
  const both = Promise.all([lifecycle.reboot(), lifecycle.pause()]);
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve));
  answer();
  await both;
  t.same(told, ['reset', 'paused']);
  t.equal(vm.state, 'paused');
});
