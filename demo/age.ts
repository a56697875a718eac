// Makes age keys and encrypts to them, for hosts without the age program: `keygen FILE` prints the recipient,
// `encrypt RECIPIENT FILE` takes the plaintext on standard input. What age-keygen and age do, and no more.
import { writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';

const [verb, ...args] = process.argv.slice(2);

if (verb === 'keygen' && args[0] !== undefined) {
  const identity = await generateIdentity();
  writeFileSync(args[0], `${identity}\n`, { mode: 0o600, flag: 'wx' });
  console.log(await identityToRecipient(identity));
} else if (verb === 'encrypt' && args[0] !== undefined && args[1] !== undefined) {
  const encrypter = new Encrypter();
  encrypter.addRecipient(args[0]);
  writeFileSync(args[1], await encrypter.encrypt(await buffer(process.stdin)));
} else {
  console.error('usage: age.js keygen FILE | age.js encrypt RECIPIENT FILE < plaintext');
  process.exitCode = 2;
}
