import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Deliverers } from '../../src/delivery/deliverers.js';

const PREPARATION = {
  vm: 'web',
  credentials: { WORD: { text: 'word' } },
  identities: [],
  passphraseFiles: [],
  wantsReceipt: false,
};

const OPTIONS = { path: process.env.PATH ?? '', digestKeyPath: join(t.testdir({}), 'digest-key') };

t.test(
  'a deliverer that somebody waited for in vain gets no more starts, though others still wait',
  async t => {
    const deliverers = new Deliverers(OPTIONS);
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
    const delivery = await deliverers.prepare(PREPARATION, AbortSignal.timeout(120_000));
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
  const deliverers = new Deliverers(OPTIONS);
  t.teardown(() => deliverers.close());
  const credentials = { A: { file: at('sops.yaml') }, B: { file: at('plain') }, C: { file: at('armored') } };
  const delivery = await deliverers.prepare({ ...PREPARATION, credentials }, AbortSignal.timeout(120_000));
  delivery.end();
  t.strictSame(delivery.notes, [
    `credential A: ${at('sops.yaml')} is delivered as it is, and looks encrypted: it is a sops file; name it as "sops", and say which value: {"sops": "FILE", "key": "NAME"}`,
    `credential C: ${at('armored')} is delivered as it is, and looks encrypted: it is an age file; name it as "age"`,
  ]);
});

/** Swaps a link to the folder of a generation, as agenix and sops-nix do: each is new, and the last but one goes. */
const SWAP = `
  import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
  const [folder] = process.argv.slice(1);
  for (let generation = 1; ; generation += 1) {
    const made = folder + '/generations/' + generation;
    mkdirSync(made, { recursive: true });
    for (const name of ['cert', 'key']) writeFileSync(made + '/' + name, 'x'.repeat(generation));
    symlinkSync(made, folder + '/next');
    renameSync(folder + '/next', folder + '/current');
    rmSync(folder + '/generations/' + (generation - 2), { recursive: true, force: true });
    if (generation === 1) process.send('there');
    await new Promise(resolve => setTimeout(resolve, 2));
  }`;

t.test('certificate and key are of one generation, though its link is swapped every 2 ms', async t => {
  const folder = t.testdir({});
  const swapper = spawn(process.execPath, ['--input-type=module', '-e', SWAP, folder], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const gone = once(swapper, 'exit');
  t.teardown(() => swapper.kill('SIGKILL'));
  await once(swapper, 'message');
  // One file has a link of its own into the generation.
  symlinkSync(join(folder, 'current/key'), join(folder, 'key'));
  const credentials = {
    CERT: { file: join(folder, 'current/cert') },
    ...Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [`T${at}`, { file: join(folder, 'current/key') }]),
    ),
    KEY: { file: join(folder, 'key') },
  };
  const deliverers = new Deliverers(OPTIONS);
  t.teardown(() => deliverers.close());
  // One deliverer for all of them.
  const other = await deliverers.prepare(PREPARATION, AbortSignal.timeout(120_000));
  const seen = new Set<number>();
  for (let start = 0; start < 40; start += 1) {
    const delivery = await deliverers.prepare({ ...PREPARATION, credentials }, AbortSignal.timeout(120_000));
    const sizes = new Set(delivery.credentials.map(({ sizeBytes }) => sizeBytes));
    t.equal(sizes.size, 1, `start ${start}: ${[...sizes].join(' and ')}`);
    for (const size of sizes) seen.add(size);
    delivery.end();
  }
  other.end();
  // Before its folder is removed.
  swapper.kill('SIGKILL');
  await gone;
  t.ok(seen.size > 10, `${seen.size} generations were met`);
});
