import t from 'tap';
import { parseCounters } from '../../../src/hypervisor/cloud-hypervisor/counters.js';

const ANSWER = {
  _disk0: { read_bytes: 10, write_bytes: 20, read_ops: 1, write_ops: 2, read_latency_min: 3 },
  _net1: { rx_bytes: 7, tx_bytes: 8, rx_frames: 1, tx_frames: 2 },
};

t.test('takes the numbers of devices by the names that the VMM gave them', t => {
  t.strictSame(parseCounters(JSON.stringify(ANSWER)), {
    disk0: { read_bytes: 10, write_bytes: 20, read_ops: 1, write_ops: 2 },
    net1: ANSWER._net1,
  });
  t.strictSame(parseCounters('{}'), {});
  t.end();
});

t.test('takes no other word of a VMM, which has secrets', t => {
  const hostile = {
    S3CR3T: { rx_bytes: 1, S3CR3T: 2 },
    data: { rx_bytes: 2, tx_bytes: 'S3CR3T', read_ops: -1, write_ops: null },
    _disk00000: { rx_bytes: 4 },
    __proto__x: null,
    _net0: 'S3CR3T',
    _disk1: ['S3CR3T'],
  };
  t.strictSame(parseCounters(JSON.stringify(hostile)), { other: { rx_bytes: 7 } });
  for (const text of ['null', '[]', '7', '"S3CR3T"']) t.strictSame(parseCounters(text), {}, text);
  t.throws(() => parseCounters('S3CR3T'), SyntaxError);
  t.end();
});
