// What it costs to see that the VMM has all that vm.create sent: one vm.info and the comparison, with 40 credentials.
import { randomBytes } from 'node:crypto';
import { createVm, requireTaken } from '../src/hypervisor/cloud-hypervisor/api-client.js';
import { buildCreateBody, writeVmConfig } from '../src/hypervisor/cloud-hypervisor/create-body.js';
import { withVmm } from '../test/hypervisor/cloud-hypervisor/vmm-under-test.js';
import { CLOUD_HYPERVISOR, standIn } from '../test/integration/vmm.js';
import { type Bench, durationOf } from './row.js';

const CREDENTIALS = 40;
const VALUE_BYTES = 600;
const TIMES = 8;

export async function benchReadBack(bench: Bench): Promise<void> {
  const isReal = CLOUD_HYPERVISOR.skip === false;
  const program = isReal ? 'cloud-hypervisor' : standIn('cloud-hypervisor');
  bench.note(`the VM config is read back from ${isReal ? 'cloud-hypervisor' : 'the stand-in'}`);
  const credentials = Array.from({ length: CREDENTIALS }, (_, index) => ({
    name: `C${index}`,
    oemString: Buffer.from(
      `io.systemd.credential.binary:C${index}=${randomBytes(VALUE_BYTES).toString('base64')}`,
    ),
  }));
  const config = writeVmConfig({ payload: { kernel: '/k' }, disks: [{ path: '/a', readonly: true }] });
  const body = buildCreateBody('bench', config, credentials, 51_200);
  const ours: number[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    await withVmm(program, async apiSocket => {
      const api = { vm: 'bench', socketPath: apiSocket, timeoutMs: 10_000 };
      await createVm(api, body);
      for (let count = 0; count < TIMES; count += 1)
        ours.push(await durationOf(() => requireTaken(api, body)));
    });
  }
  const goal = { of: 'ours', atMost: 1 } as const;
  bench.add({ what: `VM config with ${CREDENTIALS} credentials read back`, unit: 'ms', goal }, { ours });
}
