// Takes secrets on standard input, one a line, and folders as arguments; looks for them there and in the command line and
// environment of every process that this user may look at. Exit status 0: nowhere. 1: found.
import { readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Canary } from '../test/canary.js';

const folders = process.argv.slice(2);
const secrets = (await text(process.stdin)).split('\n').filter(line => line !== '');
if (secrets.length === 0 || secrets.some(secret => secret.length < 8)) {
  throw new Error('give secrets of at least 8 characters: a shorter one would be found everywhere');
}
const findings = secrets
  // A JSON file or answer would have it with escapes.
  .flatMap(secret => [...new Set([secret, JSON.stringify(secret).slice(1, -1)])])
  .map(secret => new Canary(secret))
  .flatMap(canary => [...canary.searchProcesses(), ...canary.searchFiles(folders)]);

for (const { where, form } of findings) console.log(`FOUND in ${where} (${form})`);
const processCount = readdirSync('/proc').filter(name => /^\d+$/.test(name)).length;
const fileCount = folders
  .flatMap(folder => readdirSync(folder, { recursive: true, withFileTypes: true }))
  .filter(entry => !entry.isDirectory()).length;
const hits = findings.length === 1 ? '1 hit' : `${findings.length} hits`;
console.log(`${hits} in ${processCount} processes and ${fileCount} files`);
process.exitCode = findings.length === 0 ? 0 : 1;
