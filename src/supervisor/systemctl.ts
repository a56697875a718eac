// Talks to systemd by its own program: start, stop, restart without waiting, and a unit's state as typed facts.
// What systemctl refuses becomes supervisor_failed, naming the unit and what systemctl said.

import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import { requireExecuted } from '../system/host-programs.js';

export interface UnitFacts {
  /** `loaded`, `not-found`, `masked`, `bad-setting`, … */
  loadState: string;
  activeState: 'active' | 'reloading' | 'inactive' | 'failed' | 'activating' | 'deactivating' | 'maintenance';
  /** `running`, `auto-restart`, `start-pre`, `dead`, … */
  subState: string;
  /** Why the last run ended: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, … */
  result: string;
  mainPid: number | null;
  /** Exit status of the last main process, or the signal's number when result is `signal`. */
  mainStatus: number;
  /** Path of the unit's cgroup as /proc/PID/cgroup shows it; null while nothing runs. */
  controlGroup: string | null;
  /** `User=` as written; empty for root. */
  user: string;
  /** The resolved `User=`; null while nothing runs, unless it is root. */
  uid: number | null;
  statusText: string | null;
  /** How often `Restart=` started it again since it was last started by hand. */
  restarts: number;
  /** Another one for each run; null while nothing runs. */
  invocationId: string | null;
}

export interface Systemctl {
  /** Queued, not done: follow the unit to see what becomes of it. */
  start(unit: string): Promise<void>;
  stop(unit: string): Promise<void>;
  restart(unit: string): Promise<void>;
  /** Forgets a failure and its start limit. */
  resetFailed(unit: string): Promise<void>;
  kill(unit: string, signal: NodeJS.Signals): Promise<void>;
  /** Gives facts for a unit that does not exist, too: loadState `not-found`. */
  show(unit: string): Promise<UnitFacts>;
}

const PROPERTIES =
  'LoadState,ActiveState,SubState,Result,MainPID,ExecMainStatus,ControlGroup,User,UID,StatusText,NRestarts,InvocationID';

export interface SystemctlOptions {
  program?: string;
  timeoutMs?: number;
}

export function createSystemctl({
  program = 'systemctl',
  timeoutMs = 30_000,
}: SystemctlOptions = {}): Systemctl {
  async function run(verb: string, unit: string, options: readonly string[]): Promise<string> {
    const result = await execa(program, [verb, ...options, '--', unit], {
      reject: false,
      stdin: 'ignore',
      timeout: timeoutMs,
      env: { LC_ALL: 'C' },
    });
    requireExecuted(program, result);
    const { failed, stdout, stderr, timedOut, exitCode } = result;
    if (!failed) return stdout;
    const said = stderr.trim().replaceAll(/\s*\n\s*/g, ' ');
    const why = timedOut
      ? `no answer within ${timeoutMs} ms`
      : said || `exit status ${exitCode ?? 'unknown'}`;
    throw new VmsecretdError('supervisor_failed', `systemctl ${verb} ${unit}: ${why}`, { details: { unit } });
  }

  async function queue(verb: string, unit: string): Promise<void> {
    await run(verb, unit, ['--no-block', '--quiet']);
  }

  return {
    start: unit => queue('start', unit),
    stop: unit => queue('stop', unit),
    restart: unit => queue('restart', unit),
    resetFailed: unit => queue('reset-failed', unit),
    async kill(unit, signal) {
      await run('kill', unit, [`--signal=${signal}`, '--kill-who=main']);
    },
    show: shareReads(async unit => parseUnitFacts(await run('show', unit, ['--property', PROPERTIES]))),
  };
}

/**
 * One read of a unit at a time, however many ask: whoever asks while one runs shares the next, which begins after all of
 * them have asked, so that nobody hears what was true before.
 */
export function shareReads<Facts>(read: (unit: string) => Promise<Facts>): (unit: string) => Promise<Facts> {
  const running = new Map<string, Promise<Facts>>();
  const next = new Map<string, Promise<Facts>>();
  async function readAfter(before: Promise<Facts> | undefined, unit: string): Promise<Facts> {
    await before?.catch(() => {});
    next.delete(unit);
    const reading = read(unit);
    running.set(unit, reading);
    try {
      return await reading;
    } finally {
      if (running.get(unit) === reading) running.delete(unit);
    }
  }
  return unit => {
    const shared = next.get(unit) ?? readAfter(running.get(unit), unit);
    next.set(unit, shared);
    return shared;
  };
}

export function parseUnitFacts(text: string): UnitFacts {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) values.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const word = (key: string): string => values.get(key) ?? '';
  const orNull = (key: string): string | null => values.get(key) || null;
  const user = word('User');
  return {
    loadState: word('LoadState'),
    activeState: (values.get('ActiveState') ?? 'inactive') as UnitFacts['activeState'],
    subState: word('SubState'),
    result: word('Result'),
    mainPid: Number(values.get('MainPID')) || null,
    mainStatus: Number(values.get('ExecMainStatus')) || 0,
    controlGroup: orNull('ControlGroup'),
    user,
    uid: parseUid(word('UID'), user),
    statusText: orNull('StatusText'),
    restarts: Number(values.get('NRestarts')) || 0,
    invocationId: orNull('InvocationID'),
  };
}

// systemd writes "[not set]" for root's units and while nothing runs.
function parseUid(uid: string, user: string): number | null {
  if (/^\d+$/.test(uid)) return Number(uid);
  return user === '' || user === 'root' || user === '0' ? 0 : null;
}

/** What a unit's state means for its VM (design.md, "unit supervision"). `active` is running once vm.boot was answered. */
export type UnitPhase = 'starting' | 'active' | 'stopping' | 'failed' | 'stopped';

export function unitPhase({ activeState, subState }: Pick<UnitFacts, 'activeState' | 'subState'>): UnitPhase {
  switch (activeState) {
    case 'active':
    case 'reloading':
      return 'active';
    case 'activating':
      return subState.startsWith('auto-restart') ? 'failed' : 'starting';
    case 'deactivating':
      return 'stopping';
    case 'failed':
      return 'failed';
    default:
      return 'stopped';
  }
}
