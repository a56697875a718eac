// A passphrase as an age identity (stanza type scrypt), from a file and never from a prompt.

import { scrypt } from 'node:crypto';
import type { Stanza } from 'age-encryption';
import pLimit from 'p-limit';
import { AgeFileError, type AgeIdentity } from './age-identity.js';
import { decodeArgument, malformedStanza, openFileKey } from './file-key.js';

const TYPE = 'scrypt';
const LABEL = 'age-encryption.org/v1/scrypt';
const SALT_BYTES = 16;
/** `age -p` uses 18 (256 MiB, about a second); 20 is the age-encryption package's limit too: 1 GiB. */
const MAX_WORK_FACTOR = 20;
/** One at a time: twenty files at once would want 5 GiB. */
const oneAtATime = pLimit(1);

/** Takes the passphrase over. */
export function createScryptIdentity(passphrase: Buffer, origin: string): AgeIdentity {
  return {
    kind: TYPE,
    origin,
    async unwrapFileKey(stanzas) {
      // The format allows it only alone; decrypt.ts has refused anything else.
      const stanza = stanzas.find(({ args }) => args[0] === TYPE);
      if (stanza === undefined) return null;
      const { salt, workFactor } = parseStanza(stanza);
      return openFileKey(TYPE, stanza.body, await oneAtATime(() => stretch(passphrase, salt, workFactor)));
    },
    wipe: () => passphrase.fill(0),
  };
}

function parseStanza(stanza: Stanza): { salt: Buffer; workFactor: number } {
  const [, salt, workFactor = ''] = stanza.args;
  if (stanza.args.length !== 3 || !/^[1-9][0-9]*$/.test(workFactor)) throw malformedStanza(TYPE);
  if (Number(workFactor) > MAX_WORK_FACTOR) {
    const message = `its work factor is ${workFactor.slice(0, 10)}, more than ${MAX_WORK_FACTOR}`;
    throw new AgeFileError('work_factor', message);
  }
  return { salt: decodeArgument(TYPE, salt, SALT_BYTES), workFactor: Number(workFactor) };
}

function stretch(passphrase: Buffer, salt: Buffer, workFactor: number): Promise<Buffer> {
  const cost = 2 ** workFactor;
  const blockSize = 8;
  // node:crypto's own limit is 32 MiB; it counts 128 * N * r and a little more.
  const options = { N: cost, r: blockSize, p: 1, maxmem: 128 * blockSize * (cost + 64) };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, Buffer.concat([Buffer.from(LABEL), salt]), 32, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
