// Runs a program whose standard output is a secret.
//
// INVARIANTS
// - No shell, no standard input but what is given, nothing in the environment but PATH and LC_ALL.
// - timeout(1) ends the program at the deadline even where this process is ended before.
// - Whatever the program started in its process group ends with it.
import { isAbsolute } from 'node:path';
import type { Readable } from 'node:stream';
import { findProgram } from '../system/find-program.js';
import { printable } from '../system/printable.js';
import { requireTrusted, UntrustedPathError } from '../system/trusted-path.js';

export type ProgramProblem = 'missing' | 'untrusted' | 'not_run' | 'late' | 'too_large' | 'failed';

/** A clause about the program. What it wrote to standard error may be a secret, and is apart. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  readonly problem: ProgramProblem;
  readonly #stderr: string;

  constructor(problem: ProgramProblem, message: string, stderr = '') {
    super(message);
    this.problem = problem;
    this.#stderr = stderr;
  }

  /** The end of it, on one line. For root alone. */
  get stderr(): string {
    return this.#stderr;
  }
}

export interface SecretProgram {
  /** A path, or a name to be looked for in `searchPath`. */
  program: string;
  args: readonly string[];
  searchPath: string;
  input?: Buffer;
  limitBytes: number;
  timeoutMs: number;
}

const STDERR_BYTES = 4 * 1024;
/** timeout(1) is for a program that outlives this process; while it lives, its own clock is first. */
const GRACE_SECONDS = 2;

/** @returns standard output in a buffer of its own, which the caller wipes. @throws ProgramError */
export async function runSecretProgram(options: SecretProgram): Promise<Buffer> {
  const { searchPath, timeoutMs, limitBytes, args, input } = options;
  const path = await findTrustedProgram(options.program, searchPath);
  // Costs more to load than all of age; most hosts have no such source.
  const { execa } = await import('execa');
  const deadline = String(timeoutMs / 1000 + GRACE_SECONDS);
  const child = execa('timeout', ['-s', 'KILL', deadline, path, ...args], {
    env: { PATH: searchPath, LC_ALL: 'C.UTF-8' },
    extendEnv: false,
    cwd: '/',
    // A process group of its own, which ends as a whole.
    detached: true,
    cleanup: false,
    stdio: ['pipe', 'pipe', 'pipe'],
    // What is kept here can be wiped.
    buffer: false,
    reject: false,
  });
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // None of them is left.
    }
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const output = new Output(child.stdout, limitBytes, end);
  const stderr = keepEnd(child.stderr);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  // A program that reads no input closes the pipe; its exit status says whether that matters.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    const { exitCode, signal, code } = await child;
    const fail = (problem: ProgramProblem, message: string) => new ProgramError(problem, message, stderr());
    if (output.isTooLarge) throw fail('too_large', `wrote more than the limit of ${limitBytes} bytes`);
    if (isLate)
      throw fail(
        'late',
        `did not end within ${timeoutMs / 1000} seconds, or left a process that holds its output open`,
      );
    if (exitCode === 0) return output.take();
    if (exitCode !== undefined) throw fail('failed', `ended with status ${exitCode}`);
    if (signal !== undefined) throw fail('failed', `was ended by ${signal}`);
    throw fail('not_run', `cannot be run (${code ?? 'unknown error'})`);
  } finally {
    clearTimeout(timer);
    end();
    output.wipe();
  }
}

async function findTrustedProgram(program: string, searchPath: string): Promise<string> {
  const path = await findProgram(program, searchPath);
  if (path === undefined) {
    const where = isAbsolute(program)
      ? 'is not there, or not executable'
      : `is in no folder of PATH (${searchPath})`;
    throw new ProgramError('missing', where);
  }
  try {
    requireTrusted(path, 'root');
    return path;
  } catch (error) {
    if (!(error instanceof UntrustedPathError)) throw error;
    throw new ProgramError('untrusted', `is not run: ${error.message}`);
  }
}

/** Standard output as it comes, in buffers that can be wiped. */
class Output {
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;
  isTooLarge = false;

  constructor(stream: Readable, limitBytes: number, onTooLarge: () => void) {
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#sizeBytes += chunk.length;
      if (this.#sizeBytes <= limitBytes || this.isTooLarge) return;
      this.isTooLarge = true;
      onTooLarge();
    });
  }

  take(): Buffer {
    const whole = Buffer.allocUnsafeSlow(this.#sizeBytes);
    let filledBytes = 0;
    for (const chunk of this.#chunks) filledBytes += chunk.copy(whole, filledBytes);
    return whole;
  }

  wipe(): void {
    for (const chunk of this.#chunks) chunk.fill(0);
  }
}

/** @returns what tells the end of it, on one line */
function keepEnd(stream: Readable): () => string {
  let kept = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-STDERR_BYTES);
  });
  return () => printable(kept.toString()).trim();
}
