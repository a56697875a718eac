// Follows the state of units without a poll: one `busctl monitor` listens to systemd's PropertiesChanged signals, and each
// signal for a watched unit makes systemctl read it again. systemd sends these signals while anyone has subscribed to
// them, as systemd-logind always has.
//
// INVARIANTS
// - After the monitor says it listens, every watched unit is read once: nothing that happened before is missed.
// - For one unit one read runs at a time, and a signal during it causes exactly one more: Systemctl.show sees to it. Signals
//   that come in a burst cause one read: a unit that starts sends many, and each read is a process.
// - A listener hears of facts that differ from the last it heard, in order, and nothing after it left.

import { createInterface } from 'node:readline';
import { execa } from 'execa';
import type { Systemctl, UnitFacts } from '../../system/systemctl.js';

type UnitListener = (facts: UnitFacts) => void;

export interface UnitWatchOptions {
  systemctl: Pick<Systemctl, 'show'>;
  logger?: { warn(fields: object, message: string): void };
  program?: string;
  /** How long after the monitor ended (the bus was restarted) it is started again. */
  restartDelayMs?: number;
}

interface WatchedUnit {
  unit: string;
  listener: UnitListener;
  lastFacts: string | undefined;
  /** Of the read to come. */
  timer: NodeJS.Timeout | undefined;
}

/** How long a signal waits for others: for most of a start, of which the reads would take a third more. */
const BURST_MS = 100;

const MATCH =
  "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties'," +
  "member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit'";

export class UnitWatch {
  readonly #options: UnitWatchOptions;
  readonly #watchedByPath = new Map<string, Set<WatchedUnit>>();
  #endMonitor: (() => Promise<void>) | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: UnitWatchOptions) {
    this.#options = options;
  }

  /** The listener hears the present facts first, then each change. Returns what ends it. */
  watch(unit: string, listener: UnitListener): () => void {
    const watched: WatchedUnit = { unit, listener, lastFacts: undefined, timer: undefined };
    const path = unitObjectPath(unit);
    const sameUnit = this.#watchedByPath.get(path) ?? new Set();
    this.#watchedByPath.set(path, sameUnit.add(watched));
    if (this.#endMonitor === undefined) this.#startMonitor();
    void this.#read(watched);
    return () => {
      sameUnit.delete(watched);
      clearTimeout(watched.timer);
      if (sameUnit.size === 0 && this.#watchedByPath.get(path) === sameUnit) this.#watchedByPath.delete(path);
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watchedByPath.clear();
    clearTimeout(this.#restartTimer);
    await this.#endMonitor?.();
  }

  #startMonitor(): void {
    const { logger, program = 'busctl', restartDelayMs = 1000 } = this.#options;
    const child = execa(program, ['--system', '--json=short', 'monitor', '--match', MATCH], {
      reject: false,
      stdin: 'ignore',
      buffer: false,
    });
    createInterface({ input: child.stdout }).on('line', line => {
      for (const watched of this.#watchedByPath.get(signalPath(line) ?? '') ?? []) this.#readSoon(watched);
    });
    // "Monitoring bus message stream." is the only thing it says before a failure.
    child.stderr.once('data', () => this.#readAll());
    const ended = child.then(() => {
      if (this.#isClosed) return;
      logger?.warn({}, `${program} monitor ended: states of units may come late until it is back`);
      this.#restartTimer = setTimeout(() => this.#startMonitor(), restartDelayMs).unref();
    });
    this.#endMonitor = () => {
      child.kill('SIGTERM');
      return ended;
    };
  }

  #readAll(): void {
    for (const sameUnit of this.#watchedByPath.values())
      for (const watched of sameUnit) void this.#read(watched);
  }

  #readSoon(watched: WatchedUnit): void {
    watched.timer ??= setTimeout(() => {
      watched.timer = undefined;
      void this.#read(watched);
    }, BURST_MS);
  }

  async #read(watched: WatchedUnit): Promise<void> {
    const { systemctl, logger } = this.#options;
    try {
      const facts = await systemctl.show(watched.unit);
      const text = JSON.stringify(facts);
      if (text === watched.lastFacts || !this.#isWatched(watched)) return;
      watched.lastFacts = text;
      watched.listener(facts);
    } catch (error) {
      logger?.warn({ err: error, unit: watched.unit }, 'the state of a unit could not be read');
    }
  }

  #isWatched(watched: WatchedUnit): boolean {
    return this.#watchedByPath.get(unitObjectPath(watched.unit))?.has(watched) === true;
  }
}

/** systemd's D-Bus path of a unit: every byte but letters and digits as _xx, a leading digit too (sd_bus_path_encode(3)). */
export function unitObjectPath(unit: string): string {
  const label = unit.replaceAll(
    /^[0-9]|[^A-Za-z0-9]/g,
    byte => `_${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `/org/freedesktop/systemd1/unit/${label}`;
}

function signalPath(line: string): string | undefined {
  return /"path":"([^"]*)"/.exec(line)?.[1];
}
