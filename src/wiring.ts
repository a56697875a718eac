// The only file that constructs things and hands them to each other.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pLimit from 'p-limit';
import type { Config, Folders } from './config.js';
import { defaultIdentities } from './default-identities.js';
import type { SupervisorKind } from './definition/definition.js';
import { Definitions } from './definition/definitions.js';
import { Deliverers } from './delivery/deliverers.js';
import { systemErrorCode, VmsecretdError } from './errors.js';
import { buildApp } from './http/app.js';
import { DaemonSockets } from './http/daemon-sockets.js';
import { listenForMetrics } from './http/metrics-listener.js';
import { createHypervisors } from './hypervisor/hypervisors.js';
import type { Logger } from './log.js';
import { Metrics } from './metrics.js';
import { prepareDirectory, spawnVmm } from './supervisor/daemon-child.js';
import { writeLaunchAnswer } from './supervisor/launch-answer.js';
import { checkLaunchRequest } from './supervisor/launch-request.js';
import { createSystemctl } from './supervisor/systemctl.js';
import { readUnitConsole } from './supervisor/unit-console.js';
import { writeUnitJournal } from './supervisor/unit-journal.js';
import { createUnitWatch } from './supervisor/unit-watch.js';
import { takeOwnFolder } from './system/own-folder.js';
import { resolveGroup, resolveUser } from './system/users.js';
import { checkVm } from './vm/check-vm.js';
import { HostClaims } from './vm/conflicts.js';
import { DaemonLifecycle } from './vm/daemon-lifecycle.js';
import { describeEvent } from './vm/describe-event.js';
import { VmEvents } from './vm/events.js';
import type { Lifecycle } from './vm/lifecycle.js';
import { keepRecord } from './vm/record.js';
import { recoverVms } from './vm/recover.js';
import { showCommand } from './vm/show-command.js';
import type { StartTools } from './vm/start-vm.js';
import { UnitLifecycle } from './vm/unit-lifecycle.js';
import { Vm } from './vm/vm.js';
import { vmPaths } from './vm/vm-paths.js';
import { describeSite } from './vm/vmm-site.js';
import { Vms } from './vm/vms.js';
import { watchChanges } from './vm/watch-changes.js';

export interface DaemonOptions {
  config: Config;
  folders: Folders;
  environment: NodeJS.ProcessEnv;
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
  /** Leaves the VMs running. */
  close(): Promise<void>;
}

export async function wireDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, folders, environment, logger } = options;
  const path = environment.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  // Operators and VMMs pass through it; what is theirs has modes of its own.
  await takeOwnFolder(folders.runtimeDirectory, 0o755);
  const events = new VmEvents(() => new Date());
  events.subscribe(({ type, ...details }) => logger.info(details, type));
  const definitions = new Definitions({
    definitionsDirectory: folders.definitionsDirectory,
    keptDirectory: join(folders.stateDirectory, 'vms'),
    defaultSupervisor: options.defaultSupervisor,
  });
  const deliverers = new Deliverers({ path });
  const hypervisors = createHypervisors(config.hypervisors ?? {}, path);
  const startTools = {
    deliverers,
    identities: config.identities ?? (await defaultIdentities(environment)),
    passphraseFiles: config.passphraseFiles ?? [],
    digestKey: await loadDigestKey(join(folders.runtimeDirectory, 'digest-key')),
  };
  const vmmUser = { user: config.user, group: config.group };
  const hostClaims = new HostClaims({ events, findVm: name => vms.find(name)?.vm });
  const toolsFor = (vm: Vm): StartTools => ({
    ...startTools,
    hypervisor: hypervisors[vm.definition.hypervisor],
    onPhase: (phase, durationMs) => metrics.observePhase(phase, durationMs),
    claimHost: async (plan, launcher) =>
      hostClaims.claim(plan.needs, await describeSite(vm, { ...vmmUser, plan, launcher })),
    checkHost: async plan => hostClaims.check(plan.needs, await describeSite(vm, { ...vmmUser, plan })),
  });
  const startLimit = pLimit(config.startConcurrency ?? 2 * availableParallelism());
  const systemctl = createSystemctl();
  const unitWatch = createUnitWatch({ systemctl, logger });
  let journal: Promise<void> = Promise.resolve();
  events.subscribe(event => {
    const unit = vms.unitOf(event.vm);
    // What failed a start, the launcher or the lifecycle has told that journal.
    if (unit === undefined || event.state === 'failed') return;
    // One after another: each is a process of its own.
    journal = journal.then(() => writeUnitJournal(unit, `VM ${event.vm} ${describeEvent(event)}`, 'info'));
  });
  const buildLifecycle = (vm: Vm): Lifecycle => {
    const { definition } = vm;
    const shared = { startTools: () => toolsFor(vm), startLimit };
    if (definition.supervisor === 'daemon') {
      return new DaemonLifecycle(vm, {
        ...shared,
        resolveOwner: () =>
          resolveUser(vm.name, vm.definition.user ?? config.user, vm.definition.group ?? config.group),
        prepareDirectory: (plan, owner) => prepareDirectory(plan, vm.paths, owner),
        spawnVmm: ({ workingDirectory, preStart }, plan, owner, signal) =>
          spawnVmm({
            plan,
            owner,
            paths: vm.paths,
            workingDirectory,
            preStart,
            path,
            signal,
          }),
      });
    }
    return new UnitLifecycle(vm, {
      ...shared,
      systemctl,
      unitWatch,
      checkLaunch: pid => checkLaunchRequest(vm.name, definition.unit, pid, systemctl),
      writeAnswer: (plan, workingDirectory) =>
        writeLaunchAnswer(plan, workingDirectory, vm.definition.stopTimeoutSeconds),
      writeJournal: message => writeUnitJournal(definition.unit, message, 'error'),
    });
  };
  const vms = new Vms({
    definitions,
    build: definition => {
      const paths = vmPaths(folders.runtimeDirectory, definition.name);
      const vm = new Vm({ definition, paths, events, now: () => new Date(), logger });
      return { vm, lifecycle: buildLifecycle(vm) };
    },
  });
  const metrics = new Metrics({ events, listVms: () => vms.list(), now: () => performance.now() });
  keepGuestReports(vms, events, logger);
  const reload = async () => {
    await vms.reload();
    for (const problem of definitions.problems) logger.warn(problem, 'definition');
  };
  await reload();
  const stopWatching = watchChanges({
    vms,
    events,
    deliverers,
    logger,
    reload,
    toolsFor,
    digestKey: startTools.digestKey,
    defaultSupervisor: options.defaultSupervisor,
  });
  const { runtimeDirectory } = folders;
  await recoverVms({ vms, runtimeDirectory, user: config.user, logger });
  const operatorGid = await findOperatorGroup(config.operatorGroup);
  const sockets = new DaemonSockets({ ...folders, operatorGid, activatedSockets: options.activatedSockets });
  const app = await buildApp({
    vms,
    metrics,
    events,
    definitions,
    reload,
    logger,
    version: options.version,
    paths: { ...folders, identities: startTools.identities, passphraseFiles: startTools.passphraseFiles },
    roleOf: request => sockets.roleOf(request),
    checkVm: vm => checkVm(vm, toolsFor(vm)),
    showCommand: vm => showCommand(vm, toolsFor(vm)),
    readConsole: (vm, follow) => {
      if (vm.definition.supervisor === 'unit') return readUnitConsole(vm.definition.unit, follow);
      return follow ? vm.console.follow() : vm.console.recent();
    },
  });
  await sockets.listen(app);
  const metricsListen = config.metrics?.listen;
  const stopMetrics =
    metricsListen === undefined ? undefined : await listenForMetrics(metricsListen, { metrics }, operatorGid);
  deliverers.warmUp();
  return {
    app,
    vms,
    events,
    reload,
    autostart: () => {
      for (const vm of vms.list()) {
        // A start that fails is told by the VM's own problem.
        if (vm.definition.autostart && vm.state === 'stopped')
          vms
            .get(vm.name)
            .lifecycle.start()
            .catch(() => {});
      }
    },
    probe: () => sockets.probe(),
    close: async () => {
      stopWatching();
      vms.close();
      await sockets.close();
      await stopMetrics?.();
      metrics.close();
      await app.close();
      await unitWatch.close();
      deliverers.close();
    },
  };
}

/** What the guest said of itself is written down for a later daemon. */
function keepGuestReports(vms: Vms, events: VmEvents, logger: Logger): void {
  events.subscribe(({ type, vm: name }) => {
    const vm = vms.find(name)?.vm;
    // Ready at boot is written with the boot itself.
    if (
      (type !== 'ready' && type !== 'receipt') ||
      vm?.running === undefined ||
      vm.definition.ready === 'boot'
    )
      return;
    keepRecord(vm, vm.running, 'running').catch(error => {
      logger.error(
        { vm: name, code: systemErrorCode(error) },
        'what the guest reports cannot be written down',
      );
    });
  });
}

/** It lives as long as the runtime directory: digests tell a change within one boot, and nothing to a thief of disks. */
async function loadDigestKey(path: string): Promise<string> {
  await writeFile(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' }).catch(error => {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  });
  return readFile(path, 'utf8');
}

async function findOperatorGroup(name: string | undefined): Promise<number | undefined> {
  if (name === undefined) return undefined;
  const gid = await resolveGroup(name);
  if (gid !== undefined) return gid;
  throw new VmsecretdError('definition_invalid', `operatorGroup: there is no group ${name} on this host`, {
    details: { group: name },
  });
}
