// What a daemon does first: finds what an earlier one started, takes over what runs, ends what nobody knows.
import { lstat } from 'node:fs/promises';
import type { Config } from '../config.js';
import type { Logger } from '../log.js';
import { resolveUser } from '../system/users.js';
import { isUnitRecord } from '../vm/record.js';
import type { RecordStore } from '../vm/record-store.js';
import { vmPaths } from '../vm/vm-paths.js';
import type { Vms } from '../vm/vms.js';
import { endRecordedVmm } from './adoption.js';
import { endOrphans, type Orphan } from './orphans.js';

export interface Recovery {
  vms: Vms;
  records: RecordStore;
  runtimeDirectory: string;
  /** Of VMMs whose definition names none. */
  user: Config['user'];
  logger: Logger;
}

/** Called once, when the definitions are read and before anything is started or anybody asks. */
export async function recoverVms(recovery: Recovery): Promise<void> {
  const orphans = await endOrphans({
    runtimeDirectory: recovery.runtimeDirectory,
    records: recovery.records,
    uidsOf: name => spawnedUids(name, recovery),
  });
  await recallAll(recovery);
  await adoptAll(recovery);
  recovery.vms.prune();
  for (const orphan of orphans) startAgain(orphan, recovery);
}

/** VMMs whose definition went, or names another supervisor, while there was no daemon stay with who started them. */
async function recallAll({ vms, records, logger }: Recovery): Promise<void> {
  for (const record of await records.readAll()) {
    const { phase, definition } = record;
    const { name } = definition;
    const isDefined = vms.find(name) !== undefined;
    if (phase === 'running' || isUnitRecord(record)) vms.recall(definition);
    // What was being started is started afresh as it is declared now, or not at all.
    else if (!isDefined) await endRecordedVmm(name, records);
    if (!isDefined)
      logger.warn({ vm: name, phase }, 'an earlier daemon started a VM whose definition is gone');
  }
}

/** One VMM that cannot be taken over keeps nobody else from being. */
async function adoptAll({ vms, logger }: Recovery): Promise<void> {
  await Promise.all(
    vms.list().map(async vm => {
      // Not get(): until it is taken over it looks like one that is down, and free for another supervisor.
      await vms
        .find(vm.name)
        ?.lifecycle.adopt()
        .catch(error => {
          // Its VMM may live: the next start or stop ends it.
          vm.fail(error, 'start-failed');
          logger.error({ vm: vm.name, problem: vm.problem }, 'adoption failed');
        });
    }),
  );
}

/** Whose VMMs of this VM can be children of an earlier daemon; undefined where systemd runs them. */
async function spawnedUids(
  name: string,
  { vms, user, runtimeDirectory }: Recovery,
): Promise<Set<number> | undefined> {
  const definition = vms.find(name)?.vm.definition;
  if (definition?.supervisor === 'unit') return undefined;
  // Without a definition it may be a unit's folder.
  const owner =
    definition === undefined
      ? await resolveUser(name, user, undefined).catch(() => undefined)
      : // Whose VMM it was spawned as, whatever the definition says by now.
        await lstat(vmPaths(runtimeDirectory, name, 'daemon').directory).catch(() => undefined);
  return new Set([process.getuid?.() ?? 0, ...(owner === undefined ? [] : [owner.uid])]);
}

/** As one whose record says `starting`: what was asked for happens, with fresh secrets. */
function startAgain({ vm: name, pid }: Orphan, { vms, logger }: Recovery): void {
  logger.warn({ vm: name, pid }, 'ended a VMM that an earlier daemon had spawned and not noted');
  const found = vms.find(name);
  // A start that fails is told by the VM's own problem.
  if (found?.vm.state === 'stopped') found.lifecycle.startUnasked().catch(() => {});
}
