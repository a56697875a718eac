// Writes the test guest, a kernel of some 400 bytes that prints its OEM strings and waits for the power button.
import { writeFileSync } from 'node:fs';
import { buildPvhGuest } from '../test/guests/pvh/pvh-guest.js';

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: write-guest.js FILE');
writeFileSync(path, buildPvhGuest({ after: 'await-power-button' }));
