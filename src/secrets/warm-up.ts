// Opens an age file a few times, so that a deliverer that waits has all code of a start loaded, compiled and run before: it
// makes the first twenty secrets about three times as fast.
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../package-root.js';
import { readRegularFile } from '../system/read-regular-file.js';
import { decryptAgeFile } from './decrypt.js';
import { parseIdentityFile } from './identity-file.js';

const ROUNDS = 3;
const FILE_LIMIT_BYTES = 1024 * 1024;

/** Opens the file below, which says "warm", and nothing else. To make both anew takes as long as all else of a warm-up. */
const KEY = 'AGE-SECRET-KEY-1MDTGVP9G3WCS38K9T6NJCYLAEY759M3H5EWZNNTFWW38WQCF2RLSC8YN7G';
const FILE = Buffer.from(
  'YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSByVTlJdENicklPMy9ZNXVOQURvV3cxaVhqOVJDOVhTVUhFSUhuSWdnbHg4ClhxbnlTQkhMSFd5ZkNOU3NOTlpZYi96WEUwb1RybVhDbE1YYkkzNVlablEKLS0tIDYyL1ByY0V1RHBmQVJveTh2Z3ZDTVAwTzhJWVNVellTRmpMdm5yR0JHblkK1Db/eF1ulSl6kBb4JrsL4EigO3zhJq9z+tPkjPe3NQuSCCuk',
  'base64',
);

export async function warmUpDecryption(): Promise<void> {
  const context = { passphrases: [], plugins: { searchPath: '', timeoutMs: 1 } };
  const anyFile = fileURLToPath(new URL('package.json', PACKAGE_ROOT));
  for (let round = 0; round < ROUNDS; round++) {
    await readRegularFile(anyFile, { limitBytes: FILE_LIMIT_BYTES });
    const identities = parseIdentityFile(Buffer.from(KEY), 'warm-up', context);
    await decryptAgeFile(FILE, identities);
  }
}
