import { readFileSync } from 'node:fs';
import t from 'tap';
import { Deliverers } from '../../src/delivery/deliverers.js';
import { writeVmConfig } from '../../src/hypervisor/cloud-hypervisor/create-body.js';

const PREPARATION = {
  vm: 'web',
  credentials: { WORD: { text: 'word' } },
  identities: [],
  passphraseFiles: [],
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

t.test('warns of a "file" that looks encrypted, and of no other', async t => {
  const folder = t.testdir({
    'sops.yaml': 'A: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]',
    armored: '-----BEGIN AGE ENCRYPTED FILE-----\n',
    plain: 'hunter2',
  });
  const at = (name: string) => `${folder}/${name}`;
  const deliverers = new Deliverers({ path: process.env.PATH ?? '' });
  t.teardown(() => deliverers.close());
  const credentials = { A: { file: at('sops.yaml') }, B: { file: at('plain') }, C: { file: at('armored') } };
  const delivery = await deliverers.prepare({ ...PREPARATION, credentials }, AbortSignal.timeout(20_000));
  delivery.end();
  t.strictSame(delivery.notes, [
    `credential A: ${at('sops.yaml')} is delivered as it is, and looks encrypted: it is a sops file; decrypt it with sops -d and encrypt the value with age, or name the file that sops-nix makes of it below /run/secrets`,
    `credential C: ${at('armored')} is delivered as it is, and looks encrypted: it is an age file; name it as "age"`,
  ]);
});
