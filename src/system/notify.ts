// Tells systemd how the daemon is (sd_notify(3)). Takes NOTIFY_SOCKET out of the environment, so that no other child can
// speak for the daemon; does nothing without it. A notification that fails is logged and never stops the daemon.

import { execa } from 'execa';
import systemdNotify from 'systemd-notify';

export interface Notifier {
  /** READY=1: also what ends a reload. */
  ready(statusText: string): Promise<void>;
  status(text: string): Promise<void>;
  reloading(): Promise<void>;
  stopping(): Promise<void>;
  watchdog(): Promise<void>;
}

export interface NotifierOptions {
  /** Usually process.env: NOTIFY_SOCKET is deleted from it. */
  environment: NodeJS.ProcessEnv;
  logger?: { warn(fields: object, message: string): void };
}

export function createNotifier({ environment, logger }: NotifierOptions): Notifier {
  const socket = environment.NOTIFY_SOCKET;
  delete environment.NOTIFY_SOCKET;
  let last: Promise<void> = Promise.resolve();

  // One after another: each is a process of its own, and a late STATUS must not overtake a newer one.
  function send(what: string, spawnNotification: (socket: string) => Promise<unknown>): Promise<void> {
    if (socket === undefined) return last;
    last = last
      .then(() => spawnNotification(socket))
      .then(
        () => undefined,
        () => logger?.warn({ what }, `systemd could not be told ${what}: is systemd-notify on the PATH?`),
      );
    return last;
  }

  return {
    ready: statusText =>
      send('READY', socket => viaPackage(socket, { ready: true, status: oneLine(statusText) })),
    status: text => send('STATUS', socket => viaPackage(socket, { status: oneLine(text) })),
    reloading: () =>
      send('RELOADING', socket =>
        viaProgram(socket, ['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]),
      ),
    stopping: () => send('STOPPING', socket => viaProgram(socket, ['STOPPING=1'])),
    watchdog: () => send('WATCHDOG', socket => viaProgram(socket, ['WATCHDOG=1'])),
  };
}

// The package spawns with process.env and takes no environment, but it spawns before it returns: the variable is there
// for exactly that moment, in which nothing else can run.
function viaPackage(socket: string, options: { ready?: true; status: string }): Promise<unknown> {
  process.env.NOTIFY_SOCKET = socket;
  try {
    return systemdNotify(options);
  } finally {
    delete process.env.NOTIFY_SOCKET;
  }
}

// The package knows ready, status and pid only. systemd-notify itself gives up after 5 s without systemd's receipt.
async function viaProgram(socket: string, variables: readonly string[]): Promise<void> {
  await execa('systemd-notify', variables, {
    env: { NOTIFY_SOCKET: socket },
    stdio: 'ignore',
    timeout: 10_000,
  });
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
