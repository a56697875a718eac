// The commands of vmsecretctl, to be run, and to be described: docs/cli.md is made of them.
import { Command } from 'commander';
import { addExamples } from '../examples.js';
import { readVersion } from '../version.js';
import { CLI_EXAMPLES } from './cli-examples.js';
import { EXIT, EXIT_STATUS } from './client.js';
import { addCompletionCommand } from './completion.js';
import { addConsoleCommand } from './console.js';
import { addDefineCommands } from './define.js';
import { addDoctorCommand } from './doctor.js';
import { addEventsCommand } from './events.js';
import { addLifecycleCommands } from './lifecycle.js';
import { addShowCommands } from './show.js';

export function buildProgram(): Command {
  const program = new Command('vmsecretctl')
    .version(readVersion())
    .description('Asks vmsecretd about VMs, and starts and stops them')
    .option(
      '--socket <path>',
      'socket of the daemon (VMSECRETD_SOCKET; admin.sock for root, else vmsecretd.sock)',
    )
    .option('--json', 'print JSON')
    .showHelpAfterError('(vmsecretctl --help lists commands and options)')
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'vmsecretctl: ')),
    })
    .exitOverride(error => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.usedWrongly));
  addShowCommands(program);
  addLifecycleCommands(program);
  addDefineCommands(program);
  addConsoleCommand(program);
  addEventsCommand(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  addExamples(program, CLI_EXAMPLES);
  program.addHelpText('after', `\n${EXIT_STATUS}`);
  return program;
}
