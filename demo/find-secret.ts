// Takes secrets on standard input, one a line, and folders as arguments; looks for them there and in the command line and
// environment of every process that this user may look at. `--except FILE` leaves one out. Exit status 0: nowhere. 1: found.
import { readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { Canary } from '../test/canary.js';

const { values: flags, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: { except: { type: 'string' } },
});
const secrets = (await text(process.stdin)).split('\n').filter(line => line !== '');
if (secrets.length === 0 || secrets.some(secret => secret.length < 8)) {
  throw new Error('give secrets of at least 8 characters: a shorter one would be found everywhere');
}
const findings = secrets
  // A JSON file or answer would have it with escapes.
  .flatMap(secret => [...new Set([secret, JSON.stringify(secret).slice(1, -1)])])
  .map(secret => new Canary(secret))
  .flatMap(canary => [...canary.searchProcesses(), ...canary.searchFiles(folders)])
  .filter(({ where }) => where !== flags.except);

for (const { where, form } of findings) console.log(`FOUND in ${where} (${form})`);
const processCount = readdirSync('/proc').filter(name => /^\d+$/.test(name)).length;
const fileCount = folders.flatMap(folder =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }),
).length;
console.log(
  `${findings.length === 0 ? 'not found' : `found ${findings.length} times`} ` +
    `in the command lines and environments of ${processCount} processes, and in ${fileCount} files and folders`,
);
process.exitCode = findings.length === 0 ? 0 : 1;
