// Loads the private keys that open age files, once for each start. A file that is absent, empty or of no use is
// skipped with a note: another key may open everything, and where none does the error repeats the notes.

import { systemErrorCode } from '../errors.js';
import type { AgeIdentity } from './age-identity.js';
import { IdentityFileError, parseIdentityFile } from './identity-file.js';
import { ReadRefusedError, readRegularFile } from './read-bounded.js';

/** Far more than any key file has; keeps /dev/zero and the like out. */
const IDENTITY_FILE_LIMIT_BYTES = 1024 * 1024;
const READABLE_BY_OTHERS = 0o004;

export interface IdentitySettings {
  paths: readonly string[];
  passphraseFiles: readonly string[];
}

/** The keys of one start. Whoever loaded them wipes them. */
export class Identities {
  readonly list: readonly AgeIdentity[];
  /** For `check`: a clause for each file that was skipped or deserves a warning ("PATH does not exist"). */
  readonly notes: readonly string[];

  constructor(list: readonly AgeIdentity[], notes: readonly string[]) {
    this.list = list;
    this.notes = notes;
  }

  wipe(): void {
    for (const identity of this.list) identity.wipe();
  }
}

/** Never throws for a file: what is wrong with one is in the notes. */
export async function loadIdentities(settings: IdentitySettings): Promise<Identities> {
  const loaded = await Promise.all(settings.paths.map(loadIdentityFile));
  return new Identities(
    loaded.flatMap(file => file.identities),
    loaded.flatMap(file => file.notes),
  );
}

interface LoadedFile {
  identities: AgeIdentity[];
  notes: string[];
}

async function loadIdentityFile(path: string): Promise<LoadedFile> {
  const notes: string[] = [];
  let content: Buffer | undefined;
  try {
    content = await readRegularFile(path, {
      limitBytes: IDENTITY_FILE_LIMIT_BYTES,
      inspect: stats => {
        if (stats.mode & READABLE_BY_OTHERS) notes.push(`${path} is readable by everybody (chmod 600 it)`);
      },
    });
    const identities = parseIdentityFile(content, path);
    if (identities.length === 0) notes.push(`${path} holds no identity`);
    return { identities, notes };
  } catch (error) {
    return { identities: [], notes: [...notes, `${path} ${explainSkipped(error)}`] };
  } finally {
    content?.fill(0);
  }
}

function explainSkipped(error: unknown): string {
  if (error instanceof IdentityFileError) return `is skipped: ${error.message}`;
  if (error instanceof ReadRefusedError) return `is skipped: ${error.message}`;
  const code = systemErrorCode(error);
  if (code === 'ENOENT') return 'does not exist';
  if (code !== undefined) return `cannot be read (${code})`;
  throw error;
}
