import t from 'tap';
import { startWatchdog } from '../../src/system/watchdog.js';

const INTERVAL = { WATCHDOG_USEC: '20000' };

/** Resolves when it was called so many times. */
function countdown(times: number): { call: () => void; done: Promise<void> } {
  let resolve = () => {};
  const promise = new Promise<void>(settle => {
    resolve = settle;
  });
  let left = times;
  return {
    call: () => {
      left -= 1;
      if (left === 0) resolve();
    },
    done: promise,
  };
}

t.test('gives signs of life again and again while the daemon answers', async t => {
  const signs = countdown(3);
  const environment: NodeJS.ProcessEnv = { ...INTERVAL, WATCHDOG_PID: '7' };
  const watchdog = startWatchdog({
    environment,
    pid: 7,
    notifier: { watchdog: async () => signs.call() },
    probe: async () => {},
  });
  const keepAlive = setInterval(() => {}, 1000);
  await signs.done;
  watchdog.stop();
  clearInterval(keepAlive);
  t.strictSame(environment, {}, 'children get no watchdog of their own');
});

t.test('gives none while the daemon does not answer', async t => {
  for (const probe of [() => Promise.reject(new Error('no answer')), () => new Promise<void>(() => {})]) {
    const complaints = countdown(3);
    const watchdog = startWatchdog({
      environment: { ...INTERVAL },
      pid: 7,
      notifier: { watchdog: async () => void t.fail('a sign of life') },
      probe,
      logger: { error: complaints.call },
    });
    const keepAlive = setInterval(() => {}, 1000);
    await complaints.done;
    watchdog.stop();
    clearInterval(keepAlive);
  }
  t.pass('it complained each time instead');
});

t.test('does nothing when no watchdog waits for this process', t => {
  let probes = 0;
  for (const environment of [{}, { ...INTERVAL, WATCHDOG_PID: '8' }, { WATCHDOG_USEC: '0' }]) {
    startWatchdog({
      environment,
      pid: 7,
      notifier: { watchdog: async () => {} },
      // A watchdog that starts probes at once.
      probe: async () => {
        probes += 1;
      },
    });
  }
  t.equal(probes, 0);
  t.end();
});
