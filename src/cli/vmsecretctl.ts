#!/usr/bin/env node
// The vmsecretctl program: the daemon's verbs for people, and `--json` for programs.
import '../system/require-node.js';
import { VmsecretdError } from '../errors.js';
import { CliError, EXIT } from './client.js';
import { buildProgram } from './program.js';

try {
  await buildProgram().parseAsync();
} catch (error) {
  for (const failure of error instanceof AggregateError ? error.errors : [error]) tell(failure);
}

/** The first failure gives the status. */
function tell(error: unknown): void {
  if (error instanceof VmsecretdError) {
    process.stderr.write(`vmsecretctl: ${error.message} (${error.code})\n`);
    process.exitCode ??= EXIT.failed;
  } else if (error instanceof CliError) {
    process.stderr.write(`vmsecretctl: ${error.message}\n`);
    process.exitCode ??= error.exitStatus;
  } else throw error;
}
