// The only file that constructs things and hands them to each other.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pLimit from 'p-limit';
import type { Config } from './config.js';
import type { Folders } from './default-folders.js';
import { defaultIdentities } from './default-identities.js';
import type { SupervisorKind } from './definition/definition.js';
import { Definitions } from './definition/definitions.js';
import { Deliverers } from './delivery/deliverers.js';
import { VmsecretdError } from './errors.js';
import { buildApp } from './http/app.js';
import { DaemonSockets, resolveOperatorGroup } from './http/daemon-sockets.js';
import { listenForMetrics, parseMetricsAddress } from './http/metrics-listener.js';
import type { DefinitionTools } from './http/routes/definitions.js';
import { createHypervisors, installedRelease } from './hypervisor/hypervisors.js';
import type { Logger } from './log.js';
import { Metrics } from './metrics.js';
import { checkHost } from './preflight/check-host.js';
import { checkVm } from './preflight/check-vm.js';
import { HostClaims } from './preflight/conflicts.js';
import { describeSite } from './preflight/vmm-site.js';
import { recoverVms } from './recovery/recover.js';
import { prepareDirectory, spawnVmm } from './supervisor/daemon/daemon-child.js';
import { DaemonLifecycle } from './supervisor/daemon/daemon-lifecycle.js';
import { showCommand } from './supervisor/show-command.js';
import { watchApiSockets } from './supervisor/unit/api-socket-watch.js';
import { Machines } from './supervisor/unit/machines.js';
import { tellUnitJournals } from './supervisor/unit/tell-unit-journals.js';
import { readUnitConsole } from './supervisor/unit/unit-console.js';
import { writeUnitJournal } from './supervisor/unit/unit-journal.js';
import { UnitLifecycle } from './supervisor/unit/unit-lifecycle.js';
import { UnitWatch } from './supervisor/unit/unit-watch.js';
import { lockFolder } from './system/folder-lock.js';
import { boundLogs } from './system/log-bound.js';
import { takeOwnFolder } from './system/own-folder.js';
import { PatientLooks } from './system/patient-looks.js';
import { createSystemctl } from './system/systemctl.js';
import { resolveUser } from './system/users.js';
import { createCredentialServer } from './vm/credential-server.js';
import { VmEvents } from './vm/events.js';
import type { Lifecycle } from './vm/lifecycle.js';
import { RecordStore } from './vm/record-store.js';
import { Refreshes } from './vm/refresh-guest.js';
import type { StartTools } from './vm/start-vm.js';
import { Vm } from './vm/vm.js';
import { vmPaths } from './vm/vm-paths.js';
import { Vms } from './vm/vms.js';
import { watchChanges } from './watch/watch-changes.js';

/** Each holds the values of a whole VM. */
const CHECK_CONCURRENCY = 2;

export interface DaemonOptions {
  config: Config;
  folders: Folders;
  environment: NodeJS.ProcessEnv;
  /** Where programs are looked for: a list of folders as in PATH. */
  programPath: string;
  logger: Logger;
  defaultSupervisor: SupervisorKind;
  activatedSockets: ReadonlyMap<string, number>;
  version: string;
}

export interface Daemon {
  app: FastifyInstance;
  vms: Vms;
  events: VmEvents;
  reload(): Promise<void>;
  /** Starts what has `autostart`, after the service manager knows that the daemon is ready. */
  autostart(): void;
  /** Settles when every socket of the daemon has answered; rejects when one does not. */
  probe(): Promise<void>;
  /** Stops the VMs that no unit supervises, each within its own timeout. */
  stopChildren(): Promise<void>;
  /** Leaves the VMs running. */
  close(): Promise<void>;
  /** Whether the process cannot exit by itself, because a thread of it waits for a file system that hangs. */
  isStuck(): boolean;
}

/** Everything that lives as long as the daemon, and the order in which it comes to life. */
export async function wireDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, folders, logger } = options;
  const { runtimeDirectory } = folders;
  // Operators and VMMs pass through it; what is theirs has modes of its own.
  await takeOwnFolder(runtimeDirectory, 0o755);
  const unlockState = await lockFolder(folders.stateDirectory);
  const stopBoundingLogs = await boundLogs(join(runtimeDirectory, 'logs'), logger);
  const parts = await wireVms(options);
  const { vms, events, definitions, deliverers, metrics, lifecycles, records } = parts;
  const reload = async () => {
    await vms.reload();
    for (const problem of definitions.problems) logger.warn(problem, 'definition');
  };
  await reload();
  const changes = watchChanges({
    vms,
    events,
    deliverers,
    logger,
    looks: parts.looks,
    reload,
    defaultSupervisor: options.defaultSupervisor,
    refresh: vm => parts.refreshes.refresh(vm),
    definitionsDirectory: folders.definitionsDirectory,
  });
  await vms.exclusively(() => recoverVms({ vms, records, runtimeDirectory, user: config.user, logger }));
  const stopWatchingSockets = watchApiSockets(join(runtimeDirectory, 'api'), name =>
    vms.find(name)?.lifecycle.launches?.expect(),
  );
  const http = await wireHttp(options, parts, { reload, compareNow: () => changes.compareNow() });
  deliverers.warmUp();
  return {
    app: http.app,
    vms,
    events,
    reload,
    autostart: () => vms.autostart(),
    stopChildren: () => vms.stopChildren(),
    probe: () => http.sockets.probe(),
    isStuck: () => parts.looks.isStuck,
    close: async () => {
      changes.close();
      stopWatchingSockets();
      stopBoundingLogs();
      vms.close();
      await http.close();
      metrics.close();
      await http.app.close();
      await parts.machines.close();
      await lifecycles.close();
      await records.close();
      deliverers.close();
      parts.checkers.close();
      parts.servers.close();
      await unlockState();
    },
  };
}

type VmsParts = Awaited<ReturnType<typeof wireVms>>;

/** The VMs, and what they are made of: nothing is read and nothing runs before the first reload. */
async function wireVms(options: DaemonOptions) {
  const { folders, logger, version } = options;
  const events = new VmEvents(() => new Date());
  const looks = new PatientLooks({
    onSilence: path =>
      logger.warn({ path }, 'a path does not answer: until its file system does, nothing of it is looked at'),
  });
  const findVm = (name: string) => vms.find(name)?.vm;
  const delivererOptions = {
    path: options.programPath,
    digestKeyPath: join(folders.runtimeDirectory, 'digest-key'),
  };
  const deliverers = new Deliverers(delivererOptions);
  // Many checks of large files take neither a deliverer nor its memory from starts.
  const checkers = new Deliverers({ ...delivererOptions, keepsSpare: false });
  // Nor do guests that ask for one credential after the other.
  const servers = new Deliverers({ ...delivererOptions, keepsSpare: false });
  const metrics = new Metrics({ events, listVms: () => vms.list(), now: () => performance.now(), version });
  const starts = await wireStarts(options, { events, deliverers, metrics, looks, findVm });
  const records = new RecordStore({
    directory: join(folders.runtimeDirectory, 'records'),
    events,
    findVm,
    logger,
  });
  const lifecycles = wireLifecycles(options, records, starts);
  const definitions = new Definitions({
    definitionsDirectory: folders.definitionsDirectory,
    keptDirectory: join(folders.stateDirectory, 'vms'),
    defaultSupervisor: options.defaultSupervisor,
    looks,
  });
  const { identities, passphraseFiles } = starts;
  const serveCredential = createCredentialServer({ deliverers: servers, identities, passphraseFiles });
  const refreshes = new Refreshes({ deliverers, identities, passphraseFiles });
  const vms = new Vms({
    definitions,
    events,
    build: definition => {
      const paths = vmPaths(folders.runtimeDirectory, definition.name, definition.supervisor);
      const vm = new Vm({ definition, paths, events, now: () => new Date(), logger, serveCredential });
      return { vm, lifecycle: lifecycles.build(vm) };
    },
  });
  events.subscribe(({ type, ...details }) => logger.info(details, type));
  tellUnitJournals(events, name => vms.unitOf(name));
  const machines = new Machines({
    runtimeDirectory: folders.runtimeDirectory,
    events,
    find: name => vms.find(name),
    version,
    logger,
  });
  return {
    vms,
    events,
    looks,
    definitions,
    deliverers,
    checkers,
    servers,
    metrics,
    lifecycles,
    records,
    starts,
    refreshes,
    machines,
  };
}

interface StartParts {
  events: VmEvents;
  deliverers: Deliverers;
  metrics: Metrics;
  looks: PatientLooks;
  findVm(name: string): Vm | undefined;
}

/** What starts, checks and shown commands are made with. */
async function wireStarts({ config, environment, programPath }: DaemonOptions, parts: StartParts) {
  const systemctl = createSystemctl();
  const { events, deliverers, metrics, looks, findVm } = parts;
  const hypervisors = createHypervisors(config.hypervisors ?? {}, programPath, (api, signal) =>
    deliverers.readVmState(api, signal),
  );
  const hostClaims = new HostClaims({ events, looks, findVm });
  const shared = {
    deliverers,
    identities: config.identities ?? (await defaultIdentities(environment)),
    passphraseFiles: config.passphraseFiles ?? [],
  };
  const { user, group } = config;
  const toolsFor = (vm: Vm): StartTools => ({
    ...shared,
    hypervisor: hypervisors[vm.definition.hypervisor],
    onPhase: (phase, durationMs) => metrics.observePhase(phase, durationMs),
    claimHost: async (plan, unit) =>
      hostClaims.claim(plan.needs, await describeSite(vm, { plan, unit, user, group })),
    checkHost: plan => checkHost(vm, plan, { hostClaims, systemctl, user, group }),
  });
  return { ...shared, systemctl, toolsFor };
}

/** How a VM is started and stopped, by its supervisor. */
function wireLifecycles(
  { config, programPath, logger }: DaemonOptions,
  records: RecordStore,
  { systemctl, toolsFor }: Pick<Awaited<ReturnType<typeof wireStarts>>, 'systemctl' | 'toolsFor'>,
) {
  const unitWatch = new UnitWatch({ systemctl, logger });
  const startLimit = pLimit(config.startConcurrency ?? 2 * availableParallelism());
  const build = (vm: Vm): Lifecycle => {
    const { definition, paths } = vm;
    const shared = { records, startTools: () => toolsFor(vm), startLimit };
    if (definition.supervisor === 'daemon') {
      return new DaemonLifecycle(vm, {
        ...shared,
        resolveOwner: () =>
          resolveUser(vm.name, vm.definition.user ?? config.user, vm.definition.group ?? config.group),
        prepareDirectory: (plan, owner) => prepareDirectory(plan, paths, owner),
        spawnVmm: ({ workingDirectory, preStart }, plan, owner, signal) =>
          spawnVmm({ plan, owner, paths, workingDirectory, preStart, path: programPath, signal }),
      });
    }
    return new UnitLifecycle(vm, {
      ...shared,
      systemctl,
      unitWatch,
      writeJournal: message => writeUnitJournal(definition.unit, message, 'error'),
    });
  };
  return { build, close: () => unitWatch.close() };
}

/** The HTTP application on the daemon's sockets, and metrics where config.json wants them. */
async function wireHttp(
  options: DaemonOptions,
  parts: VmsParts,
  definitionTools: Pick<DefinitionTools, 'reload' | 'compareNow'>,
) {
  const { config, folders, logger, version, activatedSockets, programPath } = options;
  const { vms, metrics, events, definitions, starts, machines } = parts;
  const { toolsFor, identities, passphraseFiles } = starts;
  const checkLimit = pLimit(CHECK_CONCURRENCY);
  const operatorGid = await resolveOperatorGroup(config.operatorGroup, folders.config);
  const sockets = new DaemonSockets({ ...folders, operatorGid, activatedSockets });
  const app = await buildApp({
    vms,
    metrics,
    machines,
    events,
    definitions,
    ...definitionTools,
    logger,
    version,
    paths: { ...folders, identities, passphraseFiles, programPath },
    roleOf: request => sockets.roleOf(request),
    checkVm: (vm, isForRoot) =>
      checkLimit(() => checkVm(vm, { ...toolsFor(vm), deliverers: parts.checkers }, isForRoot)),
    refreshVm: vm => parts.refreshes.refresh(vm),
    showCommand: vm => showCommand(vm, toolsFor(vm)),
    installedRelease: () => installedRelease(config.hypervisors ?? {}, programPath),
    readConsole: (vm, follow) => {
      if (vm.definition.supervisor === 'unit') return readUnitConsole(vm.definition.unit, follow);
      if (vm.running !== undefined && vm.running.console === undefined) throw noConsole(vm.name);
      return follow ? vm.console.follow() : vm.console.recent();
    },
  });
  await sockets.listen(app);
  const stopMetrics = await serveMetrics(options, metrics, operatorGid);
  return {
    app,
    sockets,
    close: async () => {
      await sockets.close();
      await stopMetrics?.();
    },
  };
}

/** Its place may be taken, or not be had: VMs do without metrics. @throws VmsecretdError definition_invalid */
async function serveMetrics(
  { config, logger }: DaemonOptions,
  metrics: Metrics,
  gid: number | undefined,
): Promise<(() => Promise<void>) | undefined> {
  if (config.metrics?.listen === undefined) return undefined;
  const address = parseMetricsAddress(config.metrics.listen);
  try {
    return await listenForMetrics(address, { metrics }, gid);
  } catch (error) {
    logger.error({ err: error }, 'no metrics are served');
    return undefined;
  }
}

function noConsole(vm: string): VmsecretdError {
  return new VmsecretdError(
    'state_conflict',
    `VM ${vm} sends its consoles elsewhere: put --serial tty (or --console tty) on its command line, and console=ttyS0 (or console=hvc0) on its kernel's`,
    { details: { vm } },
  );
}
