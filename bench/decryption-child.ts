// The program that decryption.ts forks: warm first, then it opens what it is told to and answers with the milliseconds.
import pLimit from 'p-limit';
import { loadIdentities } from '../src/secrets/identities.js';
import { openSource } from '../src/secrets/source.js';
import { warmUpDecryption } from '../src/secrets/warm-up.js';

export interface DecryptRequest {
  identity: string;
  files: readonly string[];
}

/** As src/delivery/deliverer.ts has it. */
const CONCURRENT_SOURCES = 16;

await warmUpDecryption();
const limit = pLimit(CONCURRENT_SOURCES);
process.once('message', async ({ identity, files }: DecryptRequest) => {
  const beganAt = performance.now();
  const identities = await loadIdentities({ vm: 'bench', paths: [identity], passphraseFiles: [] });
  await Promise.all(
    files.map(age =>
      limit(() => openSource({ vm: 'bench', credential: 'SECRET', source: { age } }, identities)),
    ),
  );
  process.send?.(performance.now() - beganAt);
});
process.send?.('ready');
