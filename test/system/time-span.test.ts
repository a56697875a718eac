import t from 'tap';
import { parseTimeSpanMs } from '../../src/system/time-span.js';

t.test('reads time spans as systemctl shows them', async t => {
  const cases = {
    '5s': 5_000,
    '100ms': 100,
    '1min 30s': 90_000,
    '2h 1min 1.5s': 7_261_500,
    '500us': 0.5,
    '0': undefined,
    infinity: undefined,
    '': undefined,
  };
  for (const [text, milliseconds] of Object.entries(cases))
    t.equal(parseTimeSpanMs(text), milliseconds, text);
});
