// Feeds systemd's watchdog (WatchdogSec=), but only while the daemon really answers: a hung event loop fires no timer,
// and a probe that fails or is late keeps the sign of life back, until systemd ends and restarts the daemon.

import type { Notifier } from './notify.js';

export interface WatchdogOptions {
  /** WATCHDOG_USEC and WATCHDOG_PID are read and deleted from it. */
  environment: NodeJS.ProcessEnv;
  pid: number;
  notifier: Pick<Notifier, 'watchdog'>;
  /** Resolves when the daemon answers, for example to a request on each of its sockets; rejects when it does not. */
  probe: () => Promise<void>;
  logger?: { error(fields: object, message: string): void };
}

/** Starts at once, then twice a watchdog interval; without WATCHDOG_USEC for this pid it does nothing. */
export function startWatchdog(options: WatchdogOptions): { stop(): void } {
  const { environment, pid, notifier, probe, logger } = options;
  const { WATCHDOG_USEC, WATCHDOG_PID } = environment;
  delete environment.WATCHDOG_USEC;
  delete environment.WATCHDOG_PID;

  const intervalMs = Math.floor(Number(WATCHDOG_USEC) / 2000);
  const isOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(pid);
  if (!(intervalMs > 0) || !isOurs) return { stop: () => {} };

  let isStopped = false;
  let isProbing = false;
  async function probeOnce(): Promise<void> {
    if (isProbing) {
      logger?.error({ intervalMs }, 'the daemon is late to answer itself: no sign of life for the watchdog');
      return;
    }
    isProbing = true;
    try {
      await probe();
      if (!isStopped) await notifier.watchdog();
    } catch (error) {
      logger?.error({ err: error }, 'the daemon does not answer itself: no sign of life for the watchdog');
    } finally {
      isProbing = false;
    }
  }

  const timer = setInterval(() => void probeOnce(), intervalMs);
  timer.unref();
  void probeOnce();
  return {
    stop() {
      isStopped = true;
      clearInterval(timer);
    },
  };
}
