// The guest is a peer on the UNIX socket that the VMM would connect to for vsock port 8889 or 8888.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { computeReceiptDigest } from '../../src/credentials/receipt-digest.js';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import type { PreparedCredential } from '../../src/delivery/protocol.js';
import type { VmPaths } from '../../src/hypervisor/hypervisor.js';
import { RECEIPT_LIMITS } from '../../src/reports/receipt.js';
import { VmEvents } from '../../src/vm/events.js';
import { Vm } from '../../src/vm/vm.js';
import { socketFolder } from '../setup/socket-folder.js';

const NONCE = randomBytes(32);
const SECRETS = { API_KEY: Buffer.from('one'), DB_PASSWORD: Buffer.from([0, 255]) };

const CREDENTIALS = Object.entries(SECRETS).map(
  ([name, value]): PreparedCredential => ({
    name,
    source: 'age',
    sizeBytes: value.length,
    digest: 'of no use here',
    receiptDigest: computeReceiptDigest(NONCE, value),
  }),
);

function receiptOf(values: Record<string, Buffer>): string {
  const lines = Object.entries(values).map(
    ([name, value], index) =>
      `CREDENTIAL_${index + 1}=${computeReceiptDigest(NONCE, value)} ${value.length} ${name}\n`,
  );
  return `VMSECRETD_RECEIPT=1\n${lines.join('')}VMSECRETD_RECEIPT_END=${lines.length}\n`;
}

/** A VM that is being started, with both channels open. */
async function openReports(t: Test, ready: 'notify' | 'receipt') {
  const folder = socketFolder(t);
  const definition = parseDefinition(
    { command: ['--kernel', '/kernel'], ready },
    { name: 'web', origin: 'api', path: '/web.json', directory: undefined, defaultSupervisor: 'daemon' },
  );
  const events = new VmEvents(() => new Date());
  const published: unknown[] = [];
  events.subscribe(({ type, receipt }) => published.push(receipt ?? type));
  const logger = { error: () => {}, warn: () => {} };
  const vm = new Vm({ definition, paths: {} as VmPaths, events, now: () => new Date(), logger });
  vm.transition('start');
  published.length = 0;
  const path = (port: number) => join(folder, `vsock.sock_${port}`);
  await vm.reports.open(
    { notify: { kind: 'vsock', path: path(8888) }, receipt: { kind: 'vsock', path: path(8889) } },
    CREDENTIALS,
  );
  t.teardown(() => vm.reports.close());
  /** Sends as a guest does, and waits until the host closes the connection. */
  const say = async (port: 8888 | 8889, message: string | Buffer, isWhole = true) => {
    const socket = connect(path(port));
    socket.on('error', () => {}).resume();
    // Not once(): that rejects where the host closes a connection with bytes unread, which it may.
    const closed = new Promise(resolve => socket.once('close', resolve));
    if (isWhole) socket.write(message);
    else socket.end(message);
    await closed;
  };
  return { vm, published, say };
}

test('a receipt of every credential is verified, and makes the VM ready', async t => {
  const { vm, published, say } = await openReports(t, 'receipt');
  await say(8889, receiptOf({ ...SECRETS, 'of-its-own': Buffer.from('x') }));
  t.match(vm, { receipt: 'verified', ready: true });
  t.strictSame(published, ['verified', 'ready']);
});

test('a receipt that lacks one or has another value fails, naming each', async t => {
  const { vm, published, say } = await openReports(t, 'receipt');
  await say(8889, receiptOf({ API_KEY: Buffer.from('another') }));
  t.match(vm, { receipt: 'failed: DB_PASSWORD is missing, API_KEY differs', ready: false });
  await say(8889, receiptOf(SECRETS));
  t.match(vm, { receipt: 'verified', ready: true }, 'a guest may mend it');
  t.strictSame(published, ['failed: DB_PASSWORD is missing, API_KEY differs', 'verified', 'ready']);
});

test('a receipt that was cut says nothing; the whole one that follows counts', async t => {
  const { vm, published, say } = await openReports(t, 'receipt');
  const whole = receiptOf(SECRETS);
  for (const length of [1, 10, 20, 50, whole.length - 3]) await say(8889, whole.slice(0, length), false);
  t.match(vm, { receipt: null, ready: false });
  await say(8889, whole.slice(0, -1), false);
  t.match(vm, { receipt: 'verified', ready: true }, 'systemd-notify sends no last line ending');
  t.strictSame(published, ['verified', 'ready']);
});

test('what is no receipt fails, and nothing of it is shown', async t => {
  const { vm, say } = await openReports(t, 'receipt');
  for (const message of ['S3CR3T', 'READY=1', receiptOf(SECRETS).replaceAll('CREDENTIAL', 'S3CR3T')]) {
    await say(8889, message, false);
    t.match(vm, { receipt: /^failed: / });
    t.notMatch(vm.receipt, /S3CR3T/);
  }
  const endless = `VMSECRETD_RECEIPT=1\n${'S3CR3T'.repeat(RECEIPT_LIMITS.maxBytes / 6)}`;
  await say(8889, endless);
  t.match(vm, { receipt: /^failed: The receipt does not end/, ready: false });
});

test('the same receipt again is no event, and a guest that sends ever others has an end', async t => {
  const { vm, published, say } = await openReports(t, 'notify');
  for (let round = 0; round < 3; round += 1) await say(8889, receiptOf(SECRETS));
  t.strictSame(published, ['verified']);
  for (let round = 0; round < 100; round += 1) await say(8889, receiptOf(round % 2 === 0 ? {} : SECRETS));
  t.equal(published.length, 62, 'three of the 64 receipts were the same');
  t.equal(vm.ready, false, 'a receipt is not what this VM waits for');
});

test('READY=1 makes a VM ready that waits for it, and no other', async t => {
  const { vm, published, say } = await openReports(t, 'notify');
  await say(8888, 'STATUS=Starting\n');
  t.match(vm, { guestStatus: 'Starting', ready: false });
  await say(8888, 'READY=1\n');
  t.match(vm, { guestStatus: 'Starting', ready: true });
  await say(8888, 'STOPPING=1\nERRNO=5\n');
  t.match(vm, { guestStatus: 'error 5, stopping' });
  t.strictSame(published, ['ready']);

  const other = await openReports(t, 'receipt');
  await other.say(8888, 'READY=1\n');
  t.match(other.vm, { ready: false });
});

test('survives what is no notification', async t => {
  const { vm, say } = await openReports(t, 'notify');
  for (const message of [randomBytes(4_000), Buffer.alloc(1024 * 1024, 'S'), '\0', '=', 'READY']) {
    await say(8888, message);
  }
  await say(8888, '', false);
  t.match(vm, { guestStatus: null, ready: false });
});

test('what an earlier guest reported does not count for the next', async t => {
  const { vm, say } = await openReports(t, 'receipt');
  await say(8889, receiptOf(SECRETS));
  await say(8888, 'STATUS=up');
  vm.fail(new Error('its VMM broke before the start was over'), 'start-failed');
  t.match(vm, { state: 'failed', ready: false, receipt: null, guestStatus: null });
});
