import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { NOTIFY_LIMIT_BYTES, parseNotifyMessage } from '../../src/reports/notify-message.js';

const NOTHING = { ready: false, stopping: false, status: undefined, errno: undefined };
const parse = (text: string) => parseNotifyMessage(Buffer.from(text));

test('understands what systemd says', async t => {
  t.strictSame(parse('READY=1'), { ...NOTHING, ready: true });
  t.strictSame(parse('STATUS=Starting\nREADY=1\n'), { ...NOTHING, ready: true, status: 'Starting' });
  t.strictSame(parse('ERRNO=2\nSTATUS=no file\n'), { ...NOTHING, errno: 2, status: 'no file' });
  t.strictSame(parse('STOPPING=1'), { ...NOTHING, stopping: true });
  t.strictSame(parse('STATUS=one\nSTATUS=two=2'), { ...NOTHING, status: 'two=2' }, 'the last one counts');
});

test('takes nothing else for it', async t => {
  for (const text of ['', 'READY=0', 'READY=11', ' READY=1', 'XREADY=1', 'ready=1', 'STOPPING=', '\n\n\0']) {
    t.strictSame(parse(text), NOTHING, JSON.stringify(text));
  }
  for (const errno of ['0', '-2', '1e3', '999999', '', 'two']) {
    t.strictSame(parse(`ERRNO=${errno}`), NOTHING, errno);
  }
  parseNotifyMessage(randomBytes(NOTIFY_LIMIT_BYTES));
});

test('shortens a status and takes control characters out', async t => {
  t.equal(parse('STATUS=a\x1b[31m\r\tb\u202e').status, 'a [31m b ');
  t.equal(parse(`STATUS=${'x'.repeat(3_000)}`).status?.length, 200);
});

test('does not look beyond the limit', async t => {
  t.strictSame(parse(`${'\n'.repeat(NOTIFY_LIMIT_BYTES)}READY=1`), NOTHING);
});
