import { PassThrough, type Readable } from 'node:stream';
import { execa } from 'execa';

/** As much as a console of our own keeps, in lines of 80. */
const LINES = 3_200;

/**
 * Reads what the processes of a unit printed since it was last started: its console is the journal's.
 * @param follow stays, over later starts too
 */
export function readUnitConsole(unit: string, follow: boolean): Readable {
  const output = new PassThrough();
  void pipeJournal(unit, follow, output).catch(error => output.destroy(error));
  return output;
}

async function pipeJournal(unit: string, follow: boolean, output: PassThrough): Promise<void> {
  const since = await startedAt(unit);
  const child = execa(
    'journalctl',
    [
      // Journals of this boot are found by its id, which a sandbox with ProcSubset=pid hides; this looks through all.
      '--merge',
      '--output=cat',
      '--quiet',
      `--lines=${LINES}`,
      ...(since === '' ? [] : [`--since=${since}`]),
      ...(follow ? ['--follow'] : []),
      // Not --unit, which adds what systemd and vmsecretd say about the unit.
      `_SYSTEMD_UNIT=${unit}`,
    ],
    { stdin: 'ignore', buffer: false, reject: false },
  );
  // A reader that leaves takes its journalctl along.
  output.once('close', () => child.kill('SIGTERM'));
  child.stdout.pipe(output);
  await child;
}

/** @returns `@SECONDS.MICROSECONDS`; empty where the unit has not been started since the host booted */
async function startedAt(unit: string): Promise<string> {
  const { stdout } = await execa(
    'systemctl',
    ['show', '--property=InactiveExitTimestamp', '--timestamp=us+utc', '--value', '--', unit],
    {
      reject: false,
      stdin: 'ignore',
      stderr: 'ignore',
    },
  );
  return (stdout ?? '').trim();
}
