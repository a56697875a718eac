// The output of a program. A program that writes nothing has failed, whatever its exit status says.
import type { ErrorCode } from '../../errors.js';
import { printable } from '../../system/printable.js';
import { ProgramError, type ProgramProblem, runSecretProgram } from '../secret-program.js';
import { type NamedSource, type SourceReader, sourceFailure } from './reader.js';
import { SOURCE_LIMIT_BYTES } from './stored-file.js';

const TIMEOUT_MS = 30_000;

export const readProgram: SourceReader = async named => {
  const [program = '', ...args] = named.source.program ?? [];
  return { stored: await run(named, { program, args }), isCiphertext: false };
};

const CODES: Record<ProgramProblem, ErrorCode> = {
  missing: 'secret_missing',
  untrusted: 'secret_unreadable',
  not_run: 'secret_unreadable',
  late: 'secret_unreadable',
  too_large: 'secret_too_large',
  failed: 'secret_unreadable',
};

const ADVICE: Record<ProgramProblem, string> = {
  missing: 'Install it, or give its absolute path.',
  untrusted: '',
  not_run: '',
  late: 'Run it by hand as the daemon does (docs/secrets.md, Programs).',
  too_large: 'A credential is no place for it.',
  failed:
    'Run it by hand as the daemon does (docs/secrets.md, Programs); root sees what it wrote to standard error.',
};

async function run(
  named: NamedSource,
  { program, args }: { program: string; args: string[] },
): Promise<Buffer> {
  const name = `the program ${printable(program)}`;
  try {
    const limits = { limitBytes: SOURCE_LIMIT_BYTES, timeoutMs: TIMEOUT_MS };
    const output = await runSecretProgram({ program, args, searchPath: process.env.PATH ?? '', ...limits });
    if (output.length > 0) return output;
  } catch (cause) {
    if (!(cause instanceof ProgramError)) throw cause;
    const { problem, message, stderr: words } = cause;
    const advice = ADVICE[problem];
    throw sourceFailure(CODES[problem], named, `${name} ${message}.${advice && ` ${advice}`}`, { words });
  }
  throw sourceFailure(
    'secret_missing',
    named,
    `${name} wrote nothing to standard output, and ended with status 0.`,
  );
}
