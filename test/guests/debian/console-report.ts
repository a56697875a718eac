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

const FILE_LINE = /VMSECRETD-TEST file (\S+) (\S+) (\d+) ([0-9a-f]{64}) (\d+ \S+ \S+)/;
const FAILURE_LINE = /VMSECRETD-TEST (?:failed|journal) (.*)/;

export function parseConsole(text: string): ConsoleReport {
  const files: Record<string, Record<string, ReportedFile>> = {};
  const failures: string[] = [];
  for (const line of text.split(/\r*\n/)) {
    const [, label, encodedName = '', size, sha256 = '', access = ''] = FILE_LINE.exec(line) ?? [];
    const failure = FAILURE_LINE.exec(line)?.[1];
    if (failure !== undefined) failures.push(failure);
    if (label === undefined) continue;
    const ofLabel = files[label] ?? {};
    ofLabel[Buffer.from(encodedName, 'base64').toString()] = { sizeBytes: Number(size), sha256, access };
    files[label] = ofLabel;
  }
  return { files, failures };
}

/** What a guest must report of a file with these bytes. */
export function expectedFile(bytes: Uint8Array, access = '400 root root'): ReportedFile {
  return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), access };
}
