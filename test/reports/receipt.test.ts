import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { computeReceiptDigest } from '../../src/credentials/receipt-digest.js';
import {
  isReceiptComplete,
  parseReceipt,
  RECEIPT_LIMITS,
  type Receipt,
  ReceiptInvalidError,
  verifyReceipt,
} from '../../src/reports/receipt.js';
import { readBlock } from '../setup/pages.js';

const numRuns = Number(process.env.VMSECRETD_ROUNDS ?? 200);
const DIGEST = 'ab'.repeat(32);

function render(receipt: Receipt): Buffer {
  const entries = receipt.map(
    ({ name, digest, sizeBytes }, index) => `CREDENTIAL_${index + 1}=${digest} ${sizeBytes} ${name}\n`,
  );
  return Buffer.from(`VMSECRETD_RECEIPT=1\n${entries.join('')}VMSECRETD_RECEIPT_END=${entries.length}\n`);
}

const anyName = fc.string({ unit: fc.constantFrom(...'aZ0._- %="$\\\'~'), minLength: 1, maxLength: 255 });
const anyDigest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(bytes => Buffer.from(bytes).toString('hex'));
const anyReceipt = fc.uniqueArray(
  fc.record({ name: anyName, digest: anyDigest, sizeBytes: fc.nat(1024 * 1024) }),
  { selector: ({ name }) => name, maxLength: 60 },
);

function refuses(t: Test, text: string | Buffer, message: RegExp): void {
  t.throws(() => parseReceipt(Buffer.from(text as Buffer)), { name: 'ReceiptInvalidError', message });
}

t.test('reads the message of docs/receipt.md', async t => {
  t.match(parseReceipt(Buffer.from(readBlock('docs/receipt.md', 'VMSECRETD_RECEIPT=1\n'))), [
    { name: 'API_KEY', sizeBytes: 64 },
    { name: 'DB_PASSWORD', sizeBytes: 18 },
  ]);
});

t.test('reads back every receipt, with or without the last line ending', async () => {
  fc.assert(
    fc.property(anyReceipt, receipt => {
      const bytes = render(receipt);
      for (const sent of [bytes, bytes.subarray(0, -1)]) {
        if (JSON.stringify(parseReceipt(sent)) !== JSON.stringify(receipt)) return false;
      }
      return isReceiptComplete(bytes);
    }),
    { numRuns },
  );
});

t.test('refuses every receipt that is cut short', async () => {
  fc.assert(
    fc.property(anyReceipt, fc.nat(), (receipt, seed) => {
      const bytes = render(receipt);
      const cut = bytes.subarray(0, seed % (bytes.length - 1));
      return throwsInvalid(cut) && !isReceiptComplete(cut);
    }),
    { numRuns },
  );
});

t.test('answers any bytes with a receipt or a ReceiptInvalidError', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), noise => {
      for (const prefix of ['', 'VMSECRETD_RECEIPT=1\n', `VMSECRETD_RECEIPT=1\nCREDENTIAL_1=${DIGEST} 1 `]) {
        if (!throwsInvalid(Buffer.concat([Buffer.from(prefix), noise]))) return false;
      }
      return true;
    }),
    { numRuns },
  );
});

function throwsInvalid(bytes: Uint8Array): boolean {
  try {
    parseReceipt(bytes);
    return false;
  } catch (error) {
    return error instanceof ReceiptInvalidError;
  }
}

t.test('refuses what is no receipt', async t => {
  const entry = (line: string) => `VMSECRETD_RECEIPT=1\n${line}\nVMSECRETD_RECEIPT_END=1\n`;
  refuses(t, '', /does not begin/);
  refuses(t, 'READY=1\n', /does not begin/);
  refuses(t, 'VMSECRETD_RECEIPT=2\nVMSECRETD_RECEIPT_END=0\n', /does not begin/);
  refuses(t, 'VMSECRETD_RECEIPT=1\n', /does not end/);
  refuses(t, 'VMSECRETD_RECEIPT=1\nVMSECRETD_RECEIPT_END=1\n', /does not end/);
  refuses(t, entry(`CREDENTIAL_2=${DIGEST} 1 A`), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST.toUpperCase()} 1 A`), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST.slice(1)} 1 A`), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST} 01 A`), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST} 1 `), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST} 1 ${'A'.repeat(256)}`), /Line 2/);
  refuses(t, entry(`CREDENTIAL_1=${DIGEST} 1 A\x1b[31m`), /Line 2/);
  refuses(t, entry(''), /Line 2/);
});

t.test('refuses a credential that is named twice', async t => {
  refuses(t, render([0, 1].map(sizeBytes => ({ name: 'A', digest: DIGEST, sizeBytes }))), /twice/);
});

t.test('refuses more than the limits', async t => {
  const many = Array.from({ length: RECEIPT_LIMITS.maxEntries + 1 }, (_, index) => ({
    name: `C${index}`,
    digest: DIGEST,
    sizeBytes: 0,
  }));
  refuses(t, render(many), /more than 512 credentials/);
  t.equal(parseReceipt(render(many.slice(1))).length, 512);
  refuses(t, Buffer.alloc(RECEIPT_LIMITS.maxBytes + 1, 'A'), /larger than/);
});

t.test('takes the largest receipt that the other limits allow', async t => {
  const largest = Array.from({ length: RECEIPT_LIMITS.maxEntries }, (_, index) => ({
    name: `${index}`.padStart(255, 'N'),
    digest: DIGEST,
    sizeBytes: 9_999_999_999,
  }));
  t.equal(parseReceipt(render(largest)).length, RECEIPT_LIMITS.maxEntries);
});

t.test('quotes nothing of what a guest sent', async t => {
  try {
    parseReceipt(Buffer.from('VMSECRETD_RECEIPT=1\nS3CR3T\nVMSECRETD_RECEIPT_END=1\n'));
  } catch (error) {
    t.notMatch(String(error), /S3CR3T/);
  }
  t.plan(1);
});

t.test('digests the nonce and then the value', async t => {
  const [nonce, value] = [randomBytes(32), Buffer.from('value')];
  const expected = createHash('sha256')
    .update(Buffer.concat([nonce, value]))
    .digest('hex');
  t.equal(computeReceiptDigest(nonce, value), expected);
  t.not(computeReceiptDigest(value, nonce), expected);
});

t.test('verifies when every expected credential is there, whatever else is', async t => {
  const receipt = [
    { name: 'A', digest: DIGEST, sizeBytes: 1 },
    { name: 'STATIC', digest: DIGEST, sizeBytes: 1 },
  ];
  t.strictSame(verifyReceipt(receipt, [{ name: 'A', digest: DIGEST }]), { status: 'verified' });
  t.strictSame(verifyReceipt([], []), { status: 'verified' });
});

t.test('names what is missing and what differs', async t => {
  const other = 'cd'.repeat(32);
  const receipt = [
    { name: 'SAME', digest: DIGEST, sizeBytes: 1 },
    { name: 'CHANGED', digest: other, sizeBytes: 1 },
  ];
  const expected = ['SAME', 'CHANGED', 'GONE'].map(name => ({ name, digest: DIGEST }));
  t.strictSame(verifyReceipt(receipt, expected), {
    status: 'failed',
    missing: ['GONE'],
    different: ['CHANGED'],
  });
});
