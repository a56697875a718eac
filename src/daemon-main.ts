// What the vmsecretd program does: folders, signals, exit status.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Config, loadConfig, NO_CONFIG } from './config.js';
import { buildDaemonProgram, type CheckFlags, EXIT, type Flags } from './daemon-program.js';
import { defaultFolders, type Folders } from './default-folders.js';
import { readDefinitionFile } from './definition/definitions.js';
import { VmsecretdError } from './errors.js';
import { resolveOperatorGroup } from './http/daemon-sockets.js';
import { parseMetricsAddress } from './http/metrics-listener.js';
import { checkCommand } from './hypervisor/check-command.js';
import { installedRelease } from './hypervisor/hypervisors.js';
import { createLogger } from './log.js';
import { findMissingPrograms } from './system/host-programs.js';
import { activatedSockets } from './system/listen-fds.js';
import { createNotifier } from './system/notify.js';
import { outliveShortages } from './system/shortages.js';
import { explainStorageError } from './system/storage-error.js';
import { isHostStopping, isSystemdHost } from './system/systemd-host.js';
import { startWatchdog } from './system/watchdog.js';
import { readVersion } from './version.js';

/** How long a change of the VMs that run waits until systemd's status has it. */
const STATUS_DELAY_MS = 500;

/** Where the service manager gives none. */
const DEFAULT_PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function foldersFrom(flags: Flags): Folders {
  const defaults = defaultFolders(process.env, process.getuid?.() === 0);
  const given = (path: string | undefined, fallback: string) =>
    path === undefined ? fallback : resolve(path);
  return {
    config: given(flags.config, defaults.config),
    runtimeDirectory: given(flags.runtimeDirectory, defaults.runtimeDirectory),
    stateDirectory: given(flags.stateDirectory, defaults.stateDirectory),
    definitionsDirectory: given(flags.definitions, defaults.definitionsDirectory),
  };
}

async function run(flags: Flags): Promise<void> {
  // Everything that we and our VMMs make is for us alone; sockets get their modes one by one.
  process.umask(0o077);
  // What is read now is as new as a reload would read; without a listener the process would end.
  process.on('SIGHUP', () => {});
  const folders = foldersFrom(flags);
  const config = await loadConfig(folders.config);
  const logger = createLogger(config.log?.level ?? 'info', process.env.JOURNAL_STREAM !== undefined);
  outliveShortages(error =>
    logger.error({ err: error }, 'out of descriptors or memory: something was left undone'),
  );
  const notifier = createNotifier({ environment: process.env, logger });
  const isRoot = process.getuid?.() === 0;
  const isOnSystemd = await isSystemdHost();
  const searchPath = process.env.PATH ?? DEFAULT_PROGRAM_PATH;
  const missing = await findMissingPrograms(searchPath, isOnSystemd);
  // Each is an error only where something needs it.
  if (missing.length > 0)
    logger.warn({ missing, searchPath }, `not on PATH: ${missing.join(', ')}; what needs them will fail`);
  // `check` and `--version` do without all that it loads.
  const { wireDaemon } = await import('./wiring.js');
  const daemon = await wireDaemon({
    config,
    folders,
    environment: process.env,
    programPath: searchPath,
    logger,
    defaultSupervisor: isRoot && isOnSystemd ? 'unit' : 'daemon',
    activatedSockets: activatedSockets(process.env, process.pid),
    version: readVersion(),
  });
  const running = () => daemon.vms.list().filter(vm => vm.running !== undefined).length;
  const status = () => `${running()} ${running() === 1 ? 'VM' : 'VMs'} running`;
  // Each is a process: a burst of starts is told once.
  let statusTimer: NodeJS.Timeout | undefined;
  daemon.events.subscribe(event => {
    if (event.type !== 'state' || statusTimer !== undefined) return;
    statusTimer = setTimeout(() => {
      statusTimer = undefined;
      void notifier.status(status());
    }, STATUS_DELAY_MS).unref();
  });
  const watchdog = startWatchdog({
    environment: process.env,
    pid: process.pid,
    notifier,
    probe: () => daemon.probe(),
    logger,
  });
  listenToSignals({
    reload: async () => {
      await notifier.reloading();
      // systemd waits for the end of it, whatever came of it.
      await daemon.reload().then(
        () => logger.info('definitions read again'),
        error => logger.error({ err: error }, 'definitions could not be read again'),
      );
      await notifier.ready(status());
    },
    stop: async () => {
      watchdog.stop();
      await notifier.stopping();
      // systemd would kill VMMs that are children of this process without a word to their guests.
      if (isOnSystemd && (await isHostStopping())) await daemon.stopChildren();
      await daemon.close();
      return daemon.isStuck();
    },
  });
  logger.info({ folders, pid: process.pid }, 'listening');
  await notifier.ready(status());
  daemon.autostart();
}

interface SignalActions {
  reload(): Promise<void>;
  /** @returns whether the process cannot exit */
  stop(): Promise<boolean>;
}

/** One reload after the other; after `stop` the process ends. */
function listenToSignals({ reload, stop }: SignalActions): void {
  let reloading: Promise<void> = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(reload);
  });
  const end = async () => {
    if (!(await stop())) process.exit(0);
    // An exit waits for all threads. SIGTERM is for systemd an end in order, too.
    process.removeAllListeners('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

async function check(files: string[], flags: Flags & CheckFlags): Promise<void> {
  const { config, otherHost, for: wanted } = flags;
  const hypervisors = config === undefined ? {} : await checkConfig(config, otherHost);
  const release = wanted ?? (await installedRelease(hypervisors, process.env.PATH ?? DEFAULT_PROGRAM_PATH));
  let invalid = 0;
  for (const file of files) {
    try {
      const options = { origin: 'file', defaultSupervisor: 'unit', trust: 'links' } as const;
      checkCommand(await readDefinitionFile(resolve(file), options), release);
      process.stdout.write(`${file}: valid\n`);
    } catch (error) {
      if (!(error instanceof VmsecretdError)) throw error;
      invalid += 1;
      process.stderr.write(`${error.message}\n`);
    }
  }
  if (invalid > 0) process.exitCode = EXIT.failed;
}

async function checkConfig(
  file: string,
  isForOtherHost = false,
): Promise<NonNullable<Config['hypervisors']>> {
  const path = resolve(file);
  const { metrics, operatorGroup, hypervisors = {} } = await loadConfig(path);
  if (metrics?.listen !== undefined) parseMetricsAddress(metrics.listen);
  process.stdout.write(`${file}${existsSync(path) ? ': valid' : ` ${NO_CONFIG}`}\n`);
  if (isForOtherHost) return hypervisors;
  try {
    await resolveOperatorGroup(operatorGroup, path);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    // No fault of the file, which may be for another host.
    process.stderr.write(`here, the daemon would not start: ${error.message}\n`);
  }
  return hypervisors;
}

try {
  await buildDaemonProgram({ run, check }).parseAsync();
} catch (thrown) {
  const error = explainStorageError(thrown);
  if (!(error instanceof VmsecretdError)) throw error;
  // sd-daemon(3): a line of the journal that is an error.
  const priority = process.env.JOURNAL_STREAM === undefined ? '' : '<3>';
  process.stderr.write(`${priority}vmsecretd: ${error.message}\n`);
  process.exit(EXIT.failed);
}
