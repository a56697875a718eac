import { readFileSync } from 'node:fs';
import { PACKAGE_ROOT } from './package-root.js';

interface Manifest {
  version: string;
  /** npm's name of the commit; in what `npm run package` makes. */
  gitHead?: string;
}

/** The version of the installed package. */
export function readVersion(): string {
  return readManifest().version;
}

/** The commit that the installed package was made of; null in a clone. */
export function readCommit(): string | null {
  return readManifest().gitHead ?? null;
}

function readManifest(): Manifest {
  return JSON.parse(readFileSync(new URL('package.json', PACKAGE_ROOT), 'utf8'));
}
