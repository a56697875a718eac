// Whether and when a VMM that ended is started again: a pure function.
import type { Definition } from '../../definition/definition.js';

/** As many failures within the window, and it is given up. */
const MAXIMUM_FAILURES = 6;
const WINDOW_MS = 10 * 60_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

export type RestartDecision =
  | { kind: 'none' }
  | { kind: 'restart'; delayMs: number }
  | { kind: 'give-up'; reason: string };

/**
 * @param clean whether the guest powered off by itself
 * @param failures when it broke, the last included, in ms
 */
export function nextRestart(
  policy: Definition['restart'],
  clean: boolean,
  failures: readonly number[],
  now: number,
): RestartDecision {
  if (policy === 'no' || (clean && policy !== 'always')) return { kind: 'none' };
  if (clean) return { kind: 'restart', delayMs: FIRST_DELAY_MS };
  const recent = failures.filter(at => now - at < WINDOW_MS).length;
  if (recent >= MAXIMUM_FAILURES) {
    return {
      kind: 'give-up',
      reason: `given up after ${recent} failures within ${WINDOW_MS / 60_000} minutes`,
    };
  }
  return {
    kind: 'restart',
    delayMs: Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, recent - 1)),
  };
}
