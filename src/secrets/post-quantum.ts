// A post-quantum hybrid identity (stanza type mlkem768x25519), which the age-encryption package does all by itself.
// This is the only file that reads that package's message texts.

import type { Decrypter } from 'age-encryption';
import { headerChanged } from './age-header.js';
import type { AgeIdentity } from './age-identity.js';
import { malformedStanza } from './file-key.js';

const TYPE = 'mlkem768x25519';

/** Takes the encoded identity over; the package wants it as a string, which lives until the process ends. */
export function createPostQuantumIdentity(encoded: Buffer, origin: string): AgeIdentity {
  let decrypter: Promise<Decrypter> | undefined;
  return {
    kind: TYPE,
    origin,
    async unwrapFileKey(stanzas, header) {
      if (!stanzas.some(({ args }) => args[0] === TYPE)) return null;
      decrypter ??= createDecrypter(encoded);
      try {
        const fileKey = await (await decrypter).decryptHeader(header);
        return Buffer.from(fileKey.buffer, fileKey.byteOffset, fileKey.byteLength);
      } catch (error) {
        return explainFailure(error);
      }
    },
    wipe: () => encoded.fill(0),
  };
}

async function createDecrypter(encoded: Buffer): Promise<Decrypter> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  decrypter.addIdentity(encoded.toString('latin1'));
  return decrypter;
}

function explainFailure(error: unknown): null {
  if (!(error instanceof Error)) throw error;
  if (error.message === "no identity matched any of the file's recipients") return null;
  if (error.message === 'invalid header HMAC') throw headerChanged();
  throw malformedStanza(TYPE);
}
