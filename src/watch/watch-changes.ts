// What VMs were made of is watched: for `outdated`, `onChange`, and VMs that wait for their secrets.
import type { SupervisorKind } from '../definition/definition.js';
import { digestDefinition } from '../definition/definition-digest.js';
import { readDefinitionFile } from '../definition/definitions.js';
import type { Deliverers } from '../delivery/deliverers.js';
import type { Logger } from '../log.js';
import type { NamedSource } from '../secrets/source.js';
import { PathWatch } from '../system/path-watch.js';
import type { PatientLooks } from '../system/patient-looks.js';
import type { VmEvents } from '../vm/events.js';
import type { Vm } from '../vm/vm.js';
import type { Vms } from '../vm/vms.js';
import { OutdatedWatch } from './outdated.js';
import { SecretRetry } from './secret-retry.js';

export interface ChangeTools {
  vms: Vms;
  events: VmEvents;
  deliverers: Deliverers;
  logger: Logger;
  looks: PatientLooks;
  reload(): Promise<void>;
  defaultSupervisor: SupervisorKind;
  /** As Refreshes.refresh. */
  refresh(vm: Vm): Promise<void>;
  definitionsDirectory: string;
}

/** How long digests of all sources may take. */
const DIGEST_TIMEOUT_MS = 60_000;

/** How long the folder of definitions is quiet before it is read. */
const SETTLE_MS = 500;

export interface ChangeWatch {
  /** Settles once the VMs that run now were compared with what they were made of. */
  compareNow(): Promise<void>;
  close(): void;
}

export function watchChanges(tools: ChangeTools): ChangeWatch {
  const { vms, events, deliverers, logger, looks, reload } = tools;
  const pathWatch = new PathWatch({
    looks,
    onProblem: (folder, why) => logger.warn({ folder, why }, 'changes in a folder go unnoticed'),
  });
  const shared = {
    events,
    findVm: (name: string) => vms.find(name)?.vm,
    pathWatch,
    digest: (sources: NamedSource[]) => deliverers.digest(sources, AbortSignal.timeout(DIGEST_TIMEOUT_MS)),
    onProblem: (error: unknown) =>
      logger.error({ stack: error instanceof Error ? error.stack : typeof error }, 'watching failed'),
  };
  const outdated = new OutdatedWatch({
    ...shared,
    looks,
    isStale: definition =>
      readDefinitionFile(definition.path, {
        origin: definition.origin,
        defaultSupervisor: tools.defaultSupervisor,
        trust: 'root',
        looks,
      }).then(
        onDisk => digestDefinition(onDisk) !== digestDefinition(definition),
        () => true,
      ),
    reload,
    restart: async vm => {
      const { lifecycle } = vms.get(vm.name);
      try {
        await lifecycle.restart();
      } catch (error) {
        // It was stopped, and is to run.
        if (vm.state === 'failed') lifecycle.startUnasked().catch(() => {});
        logger.warn({ vm: vm.name, problem: vm.describeProblem(error) }, 'onChange: restart failed');
      }
    },
    // What becomes of it shows in the VM.
    refresh: vm => tools.refresh(vm).catch(() => {}),
  });
  let settling: NodeJS.Timeout | undefined;
  const readFolder = () => {
    clearTimeout(settling);
    // A file that is copied in comes in pieces.
    settling = setTimeout(() => {
      reload().catch(shared.onProblem);
    }, SETTLE_MS);
  };
  pathWatch.watch([{ folder: tools.definitionsDirectory }], readFolder).catch(shared.onProblem);
  const retry = new SecretRetry({ ...shared, start: async vm => vms.get(vm.name).lifecycle.startUnasked() });
  return {
    compareNow: () => outdated.compareNow(),
    close: () => {
      outdated.close();
      retry.close();
      clearTimeout(settling);
      pathWatch.close();
    },
  };
}
