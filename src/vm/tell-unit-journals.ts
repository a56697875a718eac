// What happens to the VM of a unit stands in that unit's journal, too.
import { writeUnitJournal } from '../supervisor/unit-journal.js';
import { describeEvent } from './describe-event.js';
import type { VmEvents } from './events.js';

/** @param unitOf the unit of a VM; undefined where it has none */
export function tellUnitJournals(events: VmEvents, unitOf: (vm: string) => string | undefined): void {
  let written: Promise<void> = Promise.resolve();
  events.subscribe(event => {
    const unit = unitOf(event.vm);
    // What failed a start, the launcher or the lifecycle has told that journal.
    if (unit === undefined || event.state === 'failed') return;
    // One after another: each is a process of its own.
    written = written.then(() => writeUnitJournal(unit, `VM ${event.vm} ${describeEvent(event)}`, 'info'));
  });
}
