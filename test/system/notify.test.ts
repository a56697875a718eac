import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { createNotifier, type Notifier } from '../../src/system/notify.js';

const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/bin');

function setUp(
  t: Test,
  socket: string | undefined,
): { notifier: Notifier; sent(): string[]; warnings: string[] } {
  const log = join(t.testdir({ log: '' }), 'log');
  const { PATH } = process.env;
  process.env.PATH = `${FIXTURES}:${PATH}`;
  process.env.NOTIFY_LOG = log;
  if (socket !== undefined) process.env.NOTIFY_SOCKET = socket;
  t.after(() => {
    process.env.PATH = PATH;
    delete process.env.NOTIFY_LOG;
  });
  const warnings: string[] = [];
  const logger = { warn: (_fields: object, message: string) => void warnings.push(message) };
  const notifier = createNotifier({ environment: process.env, logger });
  const sent = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter(line => line !== '');
  return { notifier, sent, warnings };
}

t.test('tells systemd everything, in the order it was said', async t => {
  const { notifier, sent } = setUp(t, '/run/notify');
  void notifier.ready('2 of 3 VMs\nrun');
  void notifier.watchdog();
  void notifier.reloading();
  void notifier.status('3 of 3 VMs run');
  await notifier.stopping();
  t.match(sent(), [
    `/run/notify: --ready --pid=${process.pid} --status=2 of 3 VMs run`,
    '/run/notify: WATCHDOG=1',
    /^\/run\/notify: RELOADING=1 MONOTONIC_USEC=\d+$/,
    `/run/notify: --pid=${process.pid} --status=3 of 3 VMs run`,
    '/run/notify: STOPPING=1',
  ]);
});

t.test('hands NOTIFY_SOCKET to no other child', async t => {
  const { notifier } = setUp(t, '/run/notify');
  t.notOk('NOTIFY_SOCKET' in process.env);
  const notified = notifier.ready('');
  const { stdout } = await execa('sh', ['-c', 'echo "<$NOTIFY_SOCKET>"']);
  await notified;
  t.equal(stdout, '<>');
  t.notOk('NOTIFY_SOCKET' in process.env);
});

t.test('does nothing where no systemd waits for it', async t => {
  const { notifier, sent } = setUp(t, undefined);
  await notifier.ready('');
  await notifier.stopping();
  t.strictSame(sent(), []);
});

t.test('goes on when systemd cannot be told, and says so', async t => {
  const { notifier, warnings } = setUp(t, 'refuses');
  await notifier.ready('');
  await notifier.watchdog();
  t.match(warnings, [/told READY/, /told WATCHDOG/]);
});
