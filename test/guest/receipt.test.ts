import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { computeReceiptDigest } from '../../src/credentials/receipt-digest.js';
import { parseReceipt } from '../../src/reports/receipt.js';

const NONCE = Buffer.from('0123456789abcdef0123456789abcdef');

/** Runs vmsecretd-receipt on these files, with a program in place of the sender that keeps its arguments and its input. */
function sendReceipt(t: Test, credentials: Record<string, Buffer>) {
  const folder = t.testdir({
    credentials: {},
    send: `#!/bin/sh\necho "$*" >"\${0%/*}/arguments"\ncat >"\${0%/*}/message"\n`,
  });
  for (const [name, value] of Object.entries(credentials)) {
    writeFileSync(join(folder, 'credentials', name), value);
  }
  chmodSync(join(folder, 'send'), 0o755);
  mkdirSync(join(folder, 'credentials/a-folder-is-no-credential'));
  const { status, stderr } = spawnSync('sh', [resolve('guest/vmsecretd-receipt')], {
    env: {
      PATH: process.env.PATH,
      VMSECRETD_CREDENTIALS: join(folder, 'credentials'),
      VMSECRETD_SEND: join(folder, 'send'),
    },
    encoding: 'utf8',
  });
  return { folder, status, stderr };
}

t.test('reports every credential but the nonce, whatever its name and value', async t => {
  const values: Record<string, Buffer> = {
    API_KEY: Buffer.from('secret'),
    EMPTY: Buffer.alloc(0),
    NULS: Buffer.from([0, 10, 0, 13, 255]),
    'tls.key.v1': Buffer.from('dots'),
    '.hidden': Buffer.from('h'),
    '..odd': Buffer.from('o'),
    '-n %s $HOME "x" \\1': Buffer.from('shell'),
  };
  const { folder, status, stderr } = sendReceipt(t, { ...values, 'vmsecretd.nonce': NONCE });
  t.strictSame({ status, stderr }, { status: 0, stderr: '' });
  t.equal(readFileSync(join(folder, 'arguments'), 'utf8'), '8889 org.vmsecretd.report\n');
  const reported = parseReceipt(readFileSync(join(folder, 'message')));
  t.strictSame(
    Object.fromEntries(reported.map(({ name, digest, sizeBytes }) => [name, { digest, sizeBytes }])),
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        { digest: computeReceiptDigest(NONCE, value), sizeBytes: value.length },
      ]),
    ),
  );
});

t.test('reports none where there are none', async t => {
  const { folder } = sendReceipt(t, { 'vmsecretd.nonce': NONCE });
  t.strictSame(parseReceipt(readFileSync(join(folder, 'message'))), []);
});

t.test('sends nothing without a nonce', async t => {
  const { folder, status, stderr } = sendReceipt(t, { A: Buffer.from('a') });
  t.equal(status, 1);
  t.match(stderr, /no credential vmsecretd.nonce/);
  t.throws(() => readFileSync(join(folder, 'message')), { code: 'ENOENT' });
});
