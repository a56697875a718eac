// The records of VMMs, on the real file system.
import fs, { existsSync, readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import { rebootGuest } from '../../src/vm/guest-controls.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeRecords, makeVm, runningVm } from './vm-for-test.js';

function makeSubject(t: Test, definition: Record<string, unknown> = {}) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('web', definition), events);
  const logged: unknown[] = [];
  const records = makeRecords(
    folder,
    events,
    () => vm,
    fields => logged.push(fields),
  );
  t.teardown(() => records.close());
  const files = () => (existsSync(join(folder, 'records')) ? readdirSync(join(folder, 'records')) : []);
  return { vm, records, logged, files };
}

/** As where the disk is full: files are renamed and removed, and nothing is written. */
function fillDisk(t: Test): () => void {
  const { writeFile } = fs.promises;
  const replace = (replacement: typeof writeFile) => {
    fs.promises.writeFile = replacement;
    syncBuiltinESMExports();
  };
  replace(() => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })));
  const free = () => replace(writeFile);
  t.teardown(free);
  return free;
}

t.test('a VMM has a record before its guest is booted, and none once it is gone', async t => {
  const { vm, records, files } = makeSubject(t);
  const running = runningVm(vm);
  vm.transition('start');
  await records.begin(vm, running);
  t.strictSame(files(), ['web.starting']);
  t.match(await records.read('web'), { phase: 'starting', vmm: running.vmm.id });
  vm.booted(running);
  await records.settled('web');
  t.strictSame(files(), ['web.json']);
  t.match(await records.read('web'), { phase: 'running', startedAt: vm.startedAt, ready: true });
  vm.handleVmmExit({ status: 0, signal: null });
  vm.end();
  await records.settled('web');
  t.strictSame(files(), []);
});

t.test('a start that failed leaves no record', async t => {
  const { vm, records, files } = makeSubject(t);
  vm.transition('start');
  await records.begin(vm, runningVm(vm));
  vm.fail(new VmsecretdError('vmm_refused', 'no'), 'start-failed');
  await records.abandon('web');
  t.strictSame(files(), []);
});

t.test('without a record no VMM gets its VM', async t => {
  const { vm, records } = makeSubject(t);
  fillDisk(t);
  vm.transition('start');
  await t.rejects(records.begin(vm, runningVm(vm)), { code: 'resource_conflict' });
});

t.test(
  'a disk that fills while a VM starts loses a time, not the VM: the VM says so until it is written',
  async t => {
    const { vm, records, logged } = makeSubject(t);
    vm.transition('start');
    await records.begin(vm, runningVm(vm));
    const free = fillDisk(t);
    vm.booted(runningVm(vm));
    await records.settled('web');
    t.match(
      await records.read('web'),
      { phase: 'running', startedAt: null },
      'the next daemon takes it over',
    );
    t.match(vm.toJSON(), { state: 'running', problem: { code: 'resource_conflict' } });
    t.match(logged, [{ vm: 'web', problem: { code: 'resource_conflict' } }]);
    vm.transition('pause');
    await records.settled('web');
    t.equal(logged.length, 1, 'once');
    free();
    vm.transition('resume');
    await records.settled('web');
    t.equal(vm.problem, null);
    t.match(await records.read('web'), { startedAt: vm.startedAt });
  },
);

t.test(
  'a guest that may have been reset is not ready for a later daemon, whatever its VMM answers',
  async t => {
    const { vm, records } = makeSubject(t, { ready: 'notify' });
    const running = runningVm(vm);
    const silent = new VmsecretdError('vmm_timeout', 'nobody answers');
    running.control.reboot = () => Promise.reject(silent);
    vm.transition('start');
    vm.booted(running);
    vm.becomeReady();
    await records.settled('web');
    t.match(await records.read('web'), { ready: true });
    await t.rejects(rebootGuest(vm), silent);
    t.equal(vm.ready, false);
    await records.settled('web');
    t.match(await records.read('web'), { ready: false });
  },
);
