// Records that earlier versions wrote, as they were: each stays readable.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { readRecord, writeRecord } from '../../src/vm/record.js';

const text = readFileSync('test/vm/records/0.1.0-child.json', 'utf8');

t.test('a record of 0.1.0, which had no version, is read whole, and written as one of now', async t => {
  const record = readRecord(text, 'running');
  t.match(record, {
    phase: 'running',
    vmm: { pid: 4242, startTimeTicks: 99 },
    console: { kind: 'socket' },
    credentials: [{ name: 'API_KEY', sizeBytes: 64 }],
    definition: { name: 'web', supervisor: 'daemon', command: ['--kernel', '/k'] },
  });
  if (record === undefined) return;
  const { phase: _, ...now } = record;
  t.strictSame(readRecord(writeRecord(now), 'running'), record);
});

t.test('a record of a later version, or of none, is not taken for one', async t => {
  t.equal(readRecord('{"version":2}', 'running'), undefined);
  t.equal(readRecord('half of', 'running'), undefined);
});
