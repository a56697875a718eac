import { test } from 'tap';
import { checkBudget } from '../../src/credentials/limits.js';

const names = (count: number) => Array.from({ length: count }, (_, at) => `N${at}`);

test('takes sizes up to the limit; over it tells the largest parts and how many more there are', async t => {
  const limit = { of: 'the table', sizeBytes: 21 };
  const parts = names(6).map((label, at) => ({ label, sizeBytes: at + 1 }));
  t.doesNotThrow(() => checkBudget('web', parts, limit));
  t.throws(() => checkBudget('web', [...parts, { label: 'more', sizeBytes: 1 }], limit), {
    code: 'credentials_too_large',
    message: /22 bytes do not fit into the table \(21 bytes\): N5 6, N4 5, N3 4, N2 3, N1 2, 2 smaller ones;/,
    details: { usedBytes: 22, limitBytes: 21 },
  });
});
