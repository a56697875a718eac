import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Definition } from '../../../src/definition/definition.js';
import type { Delivery } from '../../../src/delivery/deliverers.js';
import { EarlySecrets } from '../../../src/supervisor/unit/early-secrets.js';

const definition = { name: 'web' } as Definition;
const never = new AbortController().signal;

function opener(fails = false) {
  const seen = { opened: 0, ended: 0, aborted: 0 };
  const open = async (_: Definition, signal: AbortSignal): Promise<Delivery> => {
    seen.opened += 1;
    signal.addEventListener('abort', () => {
      seen.aborted += 1;
    });
    if (fails) throw new Error('a secret is missing');
    const end = () => {
      seen.ended += 1;
    };
    return { end } as unknown as Delivery;
  };
  return { seen, open };
}

t.test('what was opened is handed over once, however often it was announced', async t => {
  const { seen, open } = opener();
  const early = new EarlySecrets({ open });
  early.begin(definition);
  early.begin(definition);
  const delivery = await early.take(definition, never);
  t.ok(delivery);
  t.equal(await early.take(definition, never), undefined);
  early.forget();
  t.strictSame(seen, { opened: 1, ended: 0, aborted: 0 }, 'who took it ends it');
});

t.test('a definition that was replaced meanwhile gets nothing of the one before', async t => {
  const { seen, open } = opener();
  const early = new EarlySecrets({ open });
  early.begin(definition);
  t.equal(await early.take({ ...definition }, never), undefined);
  early.forget();
  await delay(0);
  t.strictSame(seen, { opened: 1, ended: 1, aborted: 1 });
});

t.test('what nobody takes is forgotten', async t => {
  const { seen, open } = opener();
  const early = new EarlySecrets({ open, keptMs: 5 });
  early.begin(definition);
  while (seen.ended === 0) await delay(5);
  t.equal(await early.take(definition, never), undefined);
});

t.test('one that failed is opened again by who asks, who then says why', async t => {
  const { open } = opener(true);
  const early = new EarlySecrets({ open });
  early.begin(definition);
  t.equal(await early.take(definition, never), undefined);
});

t.test('a start that is interrupted while it waits interrupts the opening', async t => {
  const early = new EarlySecrets({
    open: (_, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  early.begin(definition);
  const stop = new AbortController();
  const taken = early.take(definition, stop.signal);
  stop.abort();
  t.equal(await taken, undefined);
});
