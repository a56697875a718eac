import t from 'tap';
import { describeAge, describeDelay } from '../../src/cli/time-spans.js';

const NOW = new Date('2026-01-02T00:00:00Z');
const after = (seconds: number) => new Date(NOW.getTime() + seconds * 1000).toISOString();

t.test('a span of time has its two largest units', async t => {
  const cases: [seconds: number, text: string][] = [
    [0, '0s'],
    [42, '42s'],
    [60, '1m'],
    [725, '12m 5s'],
    [3_600, '1h'],
    [7_380, '2h 3m'],
    [273_700, '3d 4h'],
  ];
  for (const [seconds, text] of cases) {
    t.equal(describeAge(NOW, after(-seconds)), text);
    t.equal(describeDelay(NOW, after(seconds)), text);
  }
  t.equal(describeAge(NOW, after(5)), '0s', 'a clock that was set back');
});
