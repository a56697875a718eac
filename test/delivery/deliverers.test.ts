import { readFileSync } from 'node:fs';
import t from 'tap';
import { Deliverers } from '../../src/delivery/deliverers.js';
import { writeVmConfig } from '../../src/hypervisor/cloud-hypervisor/create-body.js';

const PREPARATION = {
  vm: 'web',
  credentials: { WORD: { text: 'word' } },
  identities: [],
  passphraseFiles: [],
  staticOemStrings: [],
  packing: { kind: 'api' as const, vmConfigText: writeVmConfig({}), limitBytes: 1024 },
  wantsReceipt: false,
  digestKey: '00',
};

t.test(
  'a deliverer that somebody waited for in vain gets no more starts, though others still wait',
  async t => {
    const deliverers = new Deliverers({ path: process.env.PATH ?? '' });
    t.teardown(() => deliverers.close());
    deliverers.warmUp();
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
      .trim()
      .split(' ');
    t.not(children[0], '');
    // As one is whose files stand on a server that answers nothing.
    for (const pid of children) process.kill(Number(pid), 'SIGSTOP');
    const waiting = new AbortController();
    const others = deliverers.prepare(PREPARATION, waiting.signal);
    await t.rejects(deliverers.prepare(PREPARATION, AbortSignal.timeout(100)), { name: 'TimeoutError' });
    const delivery = await deliverers.prepare(PREPARATION, AbortSignal.timeout(20_000));
    t.equal(delivery.credentials[0]?.sizeBytes, 4);
    delivery.end();
    waiting.abort();
    await t.rejects(others);
  },
);
