// Talks to systemd by its own program: start, stop, restart, and a unit's state as typed facts.
// What systemctl refuses becomes supervisor_failed, naming the unit and what systemctl said.

import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import { requireExecuted } from './host-programs.js';
import { printable } from './printable.js';

export interface UnitFacts {
  /** `loaded`, `not-found`, `masked`, `bad-setting`, … */
  loadState: string;
  activeState: 'active' | 'reloading' | 'inactive' | 'failed' | 'activating' | 'deactivating' | 'maintenance';
  /** `running`, `auto-restart`, `start-pre`, `dead`, … */
  subState: string;
  /** Why the last run ended: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, … */
  result: string;
  mainPid: number | null;
  /** Exit status of the last main process, or the number of the signal that ended it. */
  mainStatus: number;
  mainEndedBySignal: boolean;
  /** Whether its Condition…= lines held when it was last started; true where it never was. */
  conditionMet: boolean;
  /** `User=`, `root` unless set. */
  user: string;
  /** The resolved `User=`; null while nothing runs, unless it is root. */
  uid: number | null;
  /** `/` unless set. */
  workingDirectory: string;
  /** The network namespace that the unit runs in, by name; null for the host's. */
  networkNamespace: string | null;
  statusText: string | null;
  /** How often `Restart=` started it again since it was last started by hand. */
  restarts: number;
  /** `RestartSec=` as systemd writes it, such as `5s`. */
  restartDelay: string;
  /** Another one for each run; null before the first. */
  invocationId: string | null;
  /** Path of its cgroup below the root of cgroups; null while nothing runs. */
  controlGroup: string | null;
}

export interface Systemctl {
  /** Settles once systemd has done it. @throws VmsecretdError supervisor_failed: systemd could not, or `signal` ended the wait */
  start(unit: string, signal?: AbortSignal): Promise<void>;
  restart(unit: string, signal?: AbortSignal): Promise<void>;
  stop(unit: string): Promise<void>;
  /** Forgets a failure and its start limit. */
  resetFailed(unit: string): Promise<void>;
  kill(unit: string, signal: NodeJS.Signals): Promise<void>;
  /** Gives facts for a unit that does not exist, too: loadState `not-found`. */
  show(unit: string): Promise<UnitFacts>;
}

/** Of a unit's status, as of a guest's. */
const STATUS_LENGTH = 200;

const PROPERTIES =
  'Id,LoadState,ActiveState,SubState,Result,MainPID,ExecMainCode,ExecMainStatus,ConditionResult,ConditionTimestampMonotonic,User,UID,' +
  'WorkingDirectory,NetworkNamespacePath,PrivateNetwork,StatusText,NRestarts,RestartUSec,InvocationID,ControlGroup';

export interface SystemctlOptions {
  program?: string;
  timeoutMs?: number;
}

interface RunOptions {
  options?: readonly string[];
  limits?: { timeout?: number; cancelSignal?: AbortSignal };
}

export function createSystemctl({
  program = 'systemctl',
  timeoutMs = 30_000,
}: SystemctlOptions = {}): Systemctl {
  async function run(
    verb: string,
    unit: string,
    { options = [], limits = { timeout: timeoutMs } }: RunOptions = {},
  ): Promise<string> {
    const result = await execa(program, [verb, ...options, '--', unit], {
      reject: false,
      stdin: 'ignore',
      env: { LC_ALL: 'C' },
      ...limits,
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

  /** As long as it takes: the unit's own TimeoutStartSec= and TimeoutStopSec= bound it. */
  async function finish(verb: string, unit: string, signal?: AbortSignal): Promise<void> {
    await run(verb, unit, { limits: signal === undefined ? {} : { cancelSignal: signal } });
  }

  return {
    start: (unit, signal) => finish('start', unit, signal),
    restart: (unit, signal) => finish('restart', unit, signal),
    stop: unit => finish('stop', unit),
    async resetFailed(unit) {
      await run('reset-failed', unit);
    },
    async kill(unit, signal) {
      await run('kill', unit, { options: [`--signal=${signal}`, '--kill-who=main'] });
    },
    show: shareReads(async unit =>
      parseUnitFacts(await run('show', unit, { options: ['--property', PROPERTIES] })),
    ),
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
  const namespacePath = orNull('NetworkNamespacePath');
  return {
    loadState: word('LoadState'),
    activeState: (values.get('ActiveState') ?? 'inactive') as UnitFacts['activeState'],
    subState: word('SubState'),
    result: word('Result'),
    mainPid: Number(values.get('MainPID')) || null,
    mainStatus: Number(values.get('ExecMainStatus')) || 0,
    // CLD_KILLED and CLD_DUMPED of waitid(2).
    mainEndedBySignal: ['2', '3'].includes(word('ExecMainCode')),
    conditionMet: word('ConditionTimestampMonotonic') === '0' || word('ConditionResult') !== 'no',
    user: user || 'root',
    uid: parseUid(word('UID'), user),
    // `!` and `-` say that it may be missing.
    workingDirectory: word('WorkingDirectory').replace(/^[!-]+/, '') || '/',
    networkNamespace: namespacePath ?? (word('PrivateNetwork') === 'yes' ? `of ${word('Id')}` : null),
    // Every process of the unit may set it (NotifyAccess=all), the VMM and who feeds it from a guest among them.
    statusText: printable(word('StatusText')).slice(0, STATUS_LENGTH) || null,
    restarts: Number(values.get('NRestarts')) || 0,
    restartDelay: word('RestartUSec'),
    invocationId: orNull('InvocationID'),
    controlGroup: orNull('ControlGroup'),
  };
}

// systemd writes "[not set]" for root's units and while nothing runs.
function parseUid(uid: string, user: string): number | null {
  if (/^\d+$/.test(uid)) return Number(uid);
  return user === '' || user === 'root' || user === '0' ? 0 : null;
}

/** What a unit's state means for its VM. `active` is running once vm.boot was answered. */
export type UnitPhase = 'starting' | 'active' | 'stopping' | 'failed' | 'stopped';

export function unitPhase({
  activeState,
  subState,
  result,
}: Pick<UnitFacts, 'activeState' | 'subState' | 'result'>): UnitPhase {
  switch (activeState) {
    case 'active':
    case 'reloading':
      return 'active';
    case 'activating':
      if (!isWaitingToRestart({ subState })) return 'starting';
      // A guest that powered off by itself is no failure, whatever Restart= makes of it.
      return result === 'success' ? 'stopped' : 'failed';
    case 'deactivating':
      return 'stopping';
    case 'failed':
      return 'failed';
    default:
      return 'stopped';
  }
}

/** Whether `Restart=` starts it again after `RestartSec=`. */
export function isWaitingToRestart({ subState }: Pick<UnitFacts, 'subState'>): boolean {
  return subState.startsWith('auto-restart');
}
