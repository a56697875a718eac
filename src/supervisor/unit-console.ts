import type { Readable } from 'node:stream';
import { execa } from 'execa';

/** As much as a console of our own keeps, in lines of 80. */
const LINES = 3_200;

/** What a unit printed since it was last started: its console is the journal's. */
export function readUnitConsole(unit: string, follow: boolean): Readable {
  const child = execa(
    'journalctl',
    [`--unit=${unit}`, '--output=cat', '--quiet', `--lines=${LINES}`, ...(follow ? ['--follow'] : [])],
    { stdin: 'ignore', stderr: 'ignore', buffer: false, reject: false },
  );
  // A reader that goes takes its journalctl along.
  child.stdout.once('close', () => child.kill('SIGTERM'));
  return child.stdout;
}
