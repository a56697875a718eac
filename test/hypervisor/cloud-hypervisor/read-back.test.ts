import t from 'tap';
import { findLoss } from '../../../src/hypervisor/cloud-hypervisor/read-back.js';

const SENT = {
  payload: { kernel: '/k' },
  disks: [{ path: '/a', sparse: false }, { path: '/b' }],
  platform: { system_uuid: 'u', oem_strings: ['a', 'io.systemd.credential.binary:K=YQ=='] },
};

const lossOf = (sent: unknown, taken: unknown) =>
  findLoss(
    Buffer.from(JSON.stringify(sent)),
    Buffer.from(JSON.stringify({ config: taken, state: 'Created' })),
  );

t.test('finds nothing where all is there, whatever the VMM adds', async t => {
  t.equal(lossOf(SENT, SENT), undefined);
  const taken = { ...SENT, cpus: { boot_vcpus: 1 }, disks: SENT.disks.map(disk => ({ ...disk, id: null })) };
  t.equal(lossOf(SENT, taken), undefined);
});

for (const [place, taken] of [
  ['platform.system_uuid', { ...SENT, platform: { ...SENT.platform, system_uuid: undefined } }],
  ['platform.system_uuid', { ...SENT, platform: { ...SENT.platform, system_uuid: null } }],
  ['disks[0].sparse', { ...SENT, disks: [{ path: '/a', sparse: true }, { path: '/b' }] }],
  ['disks', { ...SENT, disks: [SENT.disks[0]] }],
  ['payload', { ...SENT, payload: undefined }],
  ['platform.oem_strings[0]', { ...SENT, platform: { ...SENT.platform, oem_strings: null } }],
  ['platform.oem_strings[0]', { ...SENT, platform: { system_uuid: 'u' } }],
  ['platform.oem_strings[1]', { ...SENT, platform: { ...SENT.platform, oem_strings: ['a'] } }],
  ['platform.oem_strings[1]', { ...SENT, platform: { ...SENT.platform, oem_strings: ['a', 'b'] } }],
  [
    'platform.oem_strings[2]',
    { ...SENT, platform: { ...SENT.platform, oem_strings: [...SENT.platform.oem_strings, 'c'] } },
  ],
] as const) {
  t.test(`names ${place} where it is missing or different, and no value`, async t => {
    t.equal(lossOf(SENT, taken), place);
  });
}

t.test('takes the ways in which a VMM writes the same for the same', async t => {
  for (const [sent, taken] of [
    [{ net: [{ mac: 'AA:BB:CC:DD:EE:FF' }] }, { net: [{ mac: 'aa:bb:cc:dd:ee:ff' }] }],
    [{ net: [{ ip: 'FE80:0::1' }] }, { net: [{ ip: 'fe80::1' }] }],
    [{ net: [{ tap: null }] }, { net: [{}] }],
    [{ rng: { iommu: false } }, { rng: {} }],
    [{ rng: { iommu: true } }, { rng: { iommu: 'Virtio' } }],
    [{ platform: { uuid: 'u' } }, { platform: { system_uuid: 'u' } }],
    [{ console: { mode: 'Pty', file: '/x' } }, { console: { mode: 'Pty', file: '/dev/pts/1' } }],
    [{ platform: { oem_strings: [] } }, { platform: {} }],
  ])
    t.equal(lossOf(sent, taken), undefined, JSON.stringify(sent));
  t.equal(lossOf({ cpus: { nested: false } }, { cpus: {} }), 'cpus.nested', 'false is dropped as well');
  t.equal(lossOf({ rng: { iommu: true } }, { rng: {} }), 'rng.iommu');
});

t.test('compares strings and numbers exactly, however they are escaped', async t => {
  const loss = (sent: string, taken: string) =>
    findLoss(Buffer.from(sent), Buffer.from(`{"config":${taken}}`));
  const strings = (text: string) => `{"platform":{"oem_strings":[${text}]}}`;
  t.equal(loss(strings(String.raw`"\"é\n","\\]"`), strings(String.raw`"\"\u00e9\u000a" , "\\]"`)), undefined);
  t.equal(loss(strings('"a"'), strings('"A"')), 'platform.oem_strings[0]');
  t.equal(
    loss('{"memory":{"size":18446744073709551615}}', '{"memory":{"size":18446744073709551615}}'),
    undefined,
  );
  t.equal(
    loss('{"memory":{"size":18446744073709551615}}', '{"memory":{"size":18446744073709551614}}'),
    'memory.size',
  );
  t.equal(loss('{"payload":{"cmdline":"\\"oem_strings\\":[\\"x\\"]"}}', '{"payload":{}}'), 'payload.cmdline');
});

t.test('throws for an answer that is no JSON, or no answer of vm.info', async t => {
  for (const answer of [
    '',
    '{',
    'null',
    '{"config":{"platform":{"oem_strings":["a",7]}}}',
    '{"config":{"oem_strings":["a',
  ])
    t.throws(() => findLoss(Buffer.from('{"platform":{"oem_strings":["a"]}}'), Buffer.from(answer)), answer);
});
