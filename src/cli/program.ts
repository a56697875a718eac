// The commands of vmsecretctl, to be run, and to be described: docs/cli.md is made of them.
import { Command } from 'commander';
import { addExamples } from '../examples.js';
import { readVersion } from '../version.js';
import { CLI_EXAMPLES } from './cli-examples.js';
import { CliError, EXIT, EXIT_STATUS } from './client.js';
import { addCompletionCommand } from './completion.js';
import { addConsoleCommands } from './console.js';
import { addGlobalOptions, asksForProgram } from './context.js';
import { addDefineCommands } from './define.js';
import { addDoctorCommand } from './doctor.js';
import { addEditCommands } from './edit.js';
import { addEventsCommand } from './events.js';
import { connectHosts } from './hosts.js';
import { addLifecycleCommands } from './lifecycle.js';
import { addListCommand } from './list.js';
import { addRunCommand } from './run.js';
import { addShowCommands } from './show.js';
import { addSshCommand } from './ssh.js';
import { dropWideningSuggestion, suggestCommand } from './suggest.js';
import { addVersionCommand } from './version.js';
import { addWaitCommand } from './wait.js';

export function buildProgram(): Command {
  const program = new Command('vmsecretctl')
    .version(readVersion())
    .description('Asks vmsecretd about VMs, and starts and stops them')
    .showHelpAfterError('(vmsecretctl --help lists commands and options)')
    .configureOutput({
      // The line that showHelpAfterError adds comes this way, too.
      writeErr: text => {
        if (!asksForProgram()) process.stderr.write(text);
      },
      outputError: text => process.stderr.write(renderUsageError(text)),
    })
    .exitOverride(error => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.usedWrongly))
    .on('command:*', ([word = '']: string[]) =>
      program.error(`error: unknown command '${word}'${suggestCommand(word, program)}`, {
        code: 'commander.unknownCommand',
      }),
    );
  addGlobalOptions(program);
  connectHosts(program);
  addListCommand(program);
  addShowCommands(program);
  addLifecycleCommands(program);
  addRunCommand(program);
  addWaitCommand(program);
  addDefineCommands(program);
  addEditCommands(program);
  addConsoleCommands(program);
  addSshCommand(program);
  addEventsCommand(program);
  addDoctorCommand(program);
  addVersionCommand(program);
  addCompletionCommand(program);
  addExamples(program, CLI_EXAMPLES);
  program.addHelpText('after', `\n${EXIT_STATUS}`);
  return program;
}

/** @param text of commander's, with `error: ` before it and a newline behind */
function renderUsageError(text: string): string {
  const message = dropWideningSuggestion(text.trimEnd().replace(/^error: /, ''));
  if (!asksForProgram()) return `vmsecretctl: ${message}\n`;
  return `${JSON.stringify(new CliError(message, EXIT.usedWrongly).problem)}\n`;
}
