#!/usr/bin/env node
// The vmsecretctl program: the daemon's verbs for people, and `--json` for programs.
import '../system/require-node.js';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { buildProblem } from '../http/problem.js';
import { CliError, EXIT } from './client.js';
import { asksForProgram } from './context.js';
import { buildProgram } from './program.js';

// Of what is cut off, `vmsecretctl list | head -n 1`, the rest is not wanted.
process.stdout.on('error', error => {
  if (systemErrorCode(error) !== 'EPIPE') throw error;
  process.exit();
});

try {
  await buildProgram().parseAsync();
} catch (error) {
  for (const failure of error instanceof AggregateError ? error.errors : [error]) report(asCliError(failure));
}

/** @throws what is a fault of this program */
function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof VmsecretdError)) throw error;
  return new CliError(`${error.message} (${error.code})`, EXIT.failed, buildProblem(error, false));
}

/** The first failure gives the status. For programs each is a line of JSON. */
function report(error: CliError): void {
  const text = asksForProgram() ? JSON.stringify(error.problem) : `vmsecretctl: ${error.message}`;
  process.stderr.write(`${text}\n`);
  process.exitCode ??= error.exitStatus;
}
