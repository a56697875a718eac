import t from 'tap';
import { stringifyExactly } from '../../src/hypervisor/exact-json.js';

t.test('writes numbers beyond 2^53 with all their digits', async t => {
  const config = { disks: [{ num_queues: 18446744073709551615n }], cpus: { boot_vcpus: 2 }, net: undefined };
  t.equal(
    stringifyExactly(config),
    '{"disks":[{"num_queues":18446744073709551615}],"cpus":{"boot_vcpus":2}}',
  );
});

t.test('leaves strings alone that look like its mark', async t => {
  t.equal(stringifyExactly({ a: '\u0000bigint:1' }), '{"a":"\\u0000bigint:1"}');
});
