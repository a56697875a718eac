// What the guest said of itself is written down for a later daemon.
import { systemErrorCode } from '../errors.js';
import type { Logger } from '../log.js';
import type { VmEvents } from './events.js';
import { keepRecord } from './record.js';
import type { Vm } from './vm.js';

export function keepGuestReports(
  events: VmEvents,
  findVm: (name: string) => Vm | undefined,
  logger: Pick<Logger, 'error'>,
): void {
  events.subscribe(({ type, vm: name }) => {
    if (type !== 'ready' && type !== 'receipt') return;
    const vm = findVm(name);
    // Ready at boot is written with the boot itself.
    if (vm?.running === undefined || vm.definition.ready === 'boot') return;
    keepRecord(vm, vm.running, 'running').catch(error => {
      const code = systemErrorCode(error);
      logger.error({ vm: name, code }, 'what the guest reports cannot be written down');
    });
  });
}
