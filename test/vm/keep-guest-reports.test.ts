import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import { rebootGuest } from '../../src/vm/guest-controls.js';
import { keepGuestReports } from '../../src/vm/keep-guest-reports.js';
import { readRecord } from '../../src/vm/record.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm, runningVm } from './vm-for-test.js';

t.test(
  'a guest that may have been reset is not ready for a later daemon, whatever its VMM answers',
  async t => {
    const events = makeEvents();
    const vm = makeVm(socketFolder(t), defineVm('web', { ready: 'notify' }), events);
    keepGuestReports(events, () => vm, {
      error: (...told: unknown[]) => t.fail('cannot be written', { told }),
    });
    const running = runningVm(vm);
    const silent = new VmsecretdError('vmm_timeout', 'nobody answers');
    running.control.reboot = () => Promise.reject(silent);
    const untilKept = async (ready: boolean) => {
      while ((await readRecord(vm.paths.record))?.ready !== ready) await delay(1);
    };
    vm.transition('start');
    vm.booted(running);
    vm.becomeReady();
    await untilKept(true);
    await t.rejects(rebootGuest(vm), silent);
    t.equal(vm.ready, false);
    await untilKept(false);
  },
);
