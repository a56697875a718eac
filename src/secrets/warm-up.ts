// Opens an age file of its own making a few times, so that a deliverer that waits has all code of a start loaded,
// compiled and run before. The keys are random and live as long as the call.

import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { decryptAgeFile } from './decrypt.js';
import { parseIdentityFile } from './identity-file.js';

const ROUNDS = 20;

export async function warmUpDecryption(): Promise<void> {
  const key = await generateX25519Identity();
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(key));
  const file = Buffer.from(await encrypter.encrypt('warm'));
  const context = { passphrases: [], plugins: { searchPath: '', timeoutMs: 1 } };
  const identities = parseIdentityFile(Buffer.from(key), 'warm-up', context);
  for (let round = 0; round < ROUNDS; round++) await decryptAgeFile(file, identities);
}
