// What a process shows as its command line. Apart from procfs.ts: it stands in the process's own memory, and is read when
// that process lets it. One that holds its mmap_lock, in munmap() of a file whose FUSE server does not answer, would hold
// one of Node's four threads for ever, and no signal ends a read there. A program that reads can be killed.
import { execa } from 'execa';

export interface CommandLine {
  argv: readonly string[];
  /** False where it is longer than COMMAND_LINE_LIMIT: argv has its beginning. */
  isWhole: boolean;
}

/** A process says itself where its command line begins and ends (PR_SET_MM_MAP): it need not be one that was executed. */
export const COMMAND_LINE_LIMIT = { bytes: 1024 * 1024, arguments: 10_000 };
/** So much is kept of one that is longer: what a program of ours is told by its first arguments. */
const BEGINNING_BYTES = 64 * 1024;

/** Milliseconds, but for a host that starts a hundred VMs at once. */
const TIMEOUT_MS = 5_000;

/** @returns null where there is no such process, or it does not let itself be read in time */
export async function readCommandLine(pid: number, timeoutMs = TIMEOUT_MS): Promise<CommandLine | null> {
  const { bytes: limitBytes, arguments: limit } = COMMAND_LINE_LIMIT;
  // One byte more than the limit tells that it is passed.
  const { failed, stdout } = await execa('head', ['-c', `${limitBytes + 1}`, `/proc/${pid}/cmdline`], {
    reject: false,
    stdin: 'ignore',
    stderr: 'ignore',
    encoding: 'buffer',
    maxBuffer: limitBytes + 1,
    stripFinalNewline: false,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  if (failed) return null;
  const bytes = Buffer.from(stdout);
  const isShort = bytes.length <= limitBytes;
  const text = bytes.toString('utf8', 0, isShort ? bytes.length : BEGINNING_BYTES).replace(/\0$/, '');
  // An array of a million empty arguments has eight times their size.
  const argv = bytes.length === 0 ? [] : text.split('\0', limit + 1);
  return { argv, isWhole: isShort && argv.length <= limit };
}
