// What happens to the VM of a unit stands in that unit's journal, too.

import { describeEvent } from '../../vm/describe-event.js';
import type { VmEventRecord, VmEvents } from '../../vm/events.js';
import { writeUnitJournal } from './unit-journal.js';

/** How long lines wait while any VM starts: each line is a process, and starts come first. */
const PATIENCE_MS = 1_000;

/** @param unitOf the unit of a VM; undefined where it has none */
export function tellUnitJournals(events: VmEvents, unitOf: (vm: string) => string | undefined): void {
  const starting = new Set<string>();
  let waiting: (() => Promise<void>)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let written: Promise<void> = Promise.resolve();
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const lines = waiting;
    waiting = [];
    // One after another: each is a process of its own.
    for (const write of lines) written = written.then(write);
  };
  events.subscribe(event => {
    if (event.type === 'state') {
      if (event.state === 'starting') starting.add(event.vm);
      else starting.delete(event.vm);
    }
    const unit = unitOf(event.vm);
    if (unit !== undefined && isNews(event))
      waiting.push(() => writeUnitJournal(unit, `VM ${event.vm} ${describeEvent(event)}`, 'info'));
    if (waiting.length === 0) return;
    if (starting.size === 0) flush();
    else timer ??= setTimeout(flush, PATIENCE_MS).unref();
  });
}

/** systemd itself reports that the unit starts, runs and ends; a failure was reported by the launcher or the launch. */
function isNews({ type, state, from }: VmEventRecord): boolean {
  if (type === 'state') return state === 'paused' || from === 'paused';
  return type !== 'ready' && type !== 'definition';
}
