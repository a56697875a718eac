import t from 'tap';
import { parseExitStatus } from '../../src/reports/notify-message.js';

t.test('reads the exit status of a guest’s systemd, and nothing else for it', async t => {
  const cases: [string, number | undefined][] = [
    ['EXIT_STATUS=3', 3],
    ['STOPPING=1\nEXIT_STATUS=0\n', 0],
    ['EXIT_STATUS=256', undefined],
    ['EXIT_STATUS=-1', undefined],
    ['XEXIT_STATUS=1', undefined],
    ['', undefined],
  ];
  for (const [message, status] of cases) t.equal(parseExitStatus(Buffer.from(message)), status, message);
});
