// What the test's units printed on a guest's console, line by line.

import { createHash } from 'node:crypto';

export interface ReportedFile {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** As `stat` prints it: `400 root root`. */
  readonly access: string;
}

export interface ConsoleReport {
  /** By label of the unit that printed them, then by the file's name. */
  readonly files: Readonly<Record<string, Readonly<Record<string, ReportedFile>>>>;
  /** Units that failed, with what their journal says. */
  readonly failures: readonly string[];
}

const DIGEST_LINE = /VMSECRETD-TEST sha256 (\S+) ([0-9a-f]{64}) {2}\.\/(.+)/;
const STAT_LINE = /VMSECRETD-TEST stat (\S+) (\d+) (\d+ \S+ \S+) \.\/(.+)/;
const FAILURE_LINE = /VMSECRETD-TEST (?:failed|journal) (.*)/;

export function parseConsole(text: string): ConsoleReport {
  const lines = text.split(/\r*\n/);
  const digests = new Map(
    matches(lines, DIGEST_LINE).map(([label, digest, name]) => [`${label}/${name}`, digest]),
  );
  const files: Record<string, Record<string, ReportedFile>> = {};
  for (const [label = '', size, access = '', name = ''] of matches(lines, STAT_LINE)) {
    const file = { sizeBytes: Number(size), sha256: digests.get(`${label}/${name}`) ?? '', access };
    files[label] = { ...files[label], [name]: file };
  }
  return { files, failures: matches(lines, FAILURE_LINE).map(([words = '']) => words) };
}

/** The groups of each line that matches. */
function matches(lines: readonly string[], pattern: RegExp): string[][] {
  return lines.flatMap(line => {
    const match = pattern.exec(line);
    return match === null ? [] : [match.slice(1)];
  });
}

/** What a guest must report of a file with these bytes. */
export function expectedFile(bytes: Uint8Array, access = '400 root root'): ReportedFile {
  return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), access };
}
