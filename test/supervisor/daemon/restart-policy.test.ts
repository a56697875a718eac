import { test } from 'tap';
import { nextRestart } from '../../../src/supervisor/daemon/restart-policy.js';

const MINUTE_MS = 60_000;

test('restarts what ended cleanly only with "always", at once and without end', async t => {
  t.strictSame(nextRestart('no', true, [], 0), { kind: 'none' });
  t.strictSame(nextRestart('on-failure', true, [], 0), { kind: 'none' });
  t.strictSame(nextRestart('always', true, Array(20).fill(0), 0), { kind: 'restart', delayMs: 1000 });
});

test('never restarts with "no"', async t => {
  t.strictSame(nextRestart('no', false, [0], 0), { kind: 'none' });
});

for (const policy of ['on-failure', 'always'] as const) {
  test(`with "${policy}" waits twice as long after each failure and gives up at the sixth`, async t => {
    const failures: number[] = [];
    const decisions = Array.from({ length: 6 }, (_, at) => {
      failures.push(at);
      return nextRestart(policy, false, failures, at);
    });
    t.strictSame(
      decisions.slice(0, 5).map(decision => decision.kind === 'restart' && decision.delayMs),
      [1000, 2000, 4000, 8000, 16_000],
    );
    t.match(decisions[5], { kind: 'give-up', reason: /6 failures within 10 minutes/ });
  });
}

test('forgets a failure after ten minutes', async t => {
  const failures = [0, 1, 2, 3, 4, 10 * MINUTE_MS];
  t.match(nextRestart('always', false, failures, 10 * MINUTE_MS - 1), { kind: 'give-up' });
  t.strictSame(nextRestart('always', false, failures, 10 * MINUTE_MS), { kind: 'restart', delayMs: 16_000 });
  t.strictSame(nextRestart('always', false, failures, 11 * MINUTE_MS), { kind: 'restart', delayMs: 1000 });
});
