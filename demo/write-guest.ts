// Writes the test guest: a kernel that prints its OEM strings, or with --digests the SHA-256 of their values, and waits for
// the power button.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildPvhGuest } from '../test/guests/pvh/pvh-guest.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { digests: { type: 'boolean', default: false } },
});
const [path] = positionals;
if (path === undefined) throw new Error('usage: write-guest.js [--digests] FILE');
writeFileSync(path, buildPvhGuest({ after: 'await-power-button', digests: values.digests }));
