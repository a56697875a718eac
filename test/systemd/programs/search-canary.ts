// search-canary IDENTITY AGE_FILE DAEMON_PID VMM_PID: where the secret of an age file is, outside the VMM that has it. Prints a place a
// line, and "memory of the VMM" first, so that a search that finds nothing at all shows.
import { execa } from 'execa';
import { Canary } from '../../canary.js';
import { isInMemory } from '../../setup/search-memory.js';

const [identity = '', ageFile = '', daemon = '', vmm = ''] = process.argv.slice(2);
const { stdout } = await execa('age', ['--decrypt', '--identity', identity, ageFile]);
const canary = new Canary(stdout);
const { stdout: journal } = await execa('journalctl', ['--output=export', '--no-pager'], {
  encoding: 'buffer',
  maxBuffer: 256 * 1024 * 1024,
});
if (isInMemory(Number(vmm), canary.forms)) console.log('memory of the VMM');
if (isInMemory(Number(daemon), canary.forms)) console.log('memory of the daemon');
const found = [
  ...canary.searchText('journal', journal),
  ...canary.searchProcesses(),
  ...canary.searchFiles(['/etc', '/run', '/var', '/tmp']),
];
for (const { where, form } of found) console.log(`${where} (${form})`);
