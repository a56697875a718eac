#!/usr/bin/env node
// The vmsecretctl program: the daemon's verbs for people, and `--json` for programs.
import { Command } from 'commander';
import { VmsecretdError } from '../errors.js';
import { readVersion } from '../version.js';
import { CliError, EXIT } from './client.js';
import { addConsoleCommand } from './console.js';
import { addDefineCommands } from './define.js';
import { addDoctorCommand } from './doctor.js';
import { addEventsCommand } from './events.js';
import { addLifecycleCommands } from './lifecycle.js';
import { addShowCommands } from './show.js';

const program = new Command('vmsecretctl')
  .version(readVersion())
  .description('Asks vmsecretd about VMs, and starts and stops them')
  .option(
    '--socket <path>',
    'socket of the daemon (VMSECRETD_SOCKET; admin.sock for root, else vmsecretd.sock)',
  )
  .option('--json', 'print JSON')
  .exitOverride(error => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.usedWrongly));

addShowCommands(program);
addLifecycleCommands(program);
addDefineCommands(program);
addConsoleCommand(program);
addEventsCommand(program);
addDoctorCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof VmsecretdError) {
    process.stderr.write(`vmsecretctl: ${error.message} (${error.code})\n`);
    process.exitCode = EXIT.failed;
  } else if (error instanceof CliError) {
    process.stderr.write(`vmsecretctl: ${error.message}\n`);
    process.exitCode = error.exitStatus;
  } else throw error;
}
