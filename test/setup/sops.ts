// Files that real releases of sops made (test/fixtures/sops, by its make.sh), and what is in them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { VmsecretdError } from '../../src/errors.js';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import { PROJECT_ROOT } from './project-root.js';

const FOLDER = join(PROJECT_ROOT, 'test/fixtures/sops');

export const SOPS_RELEASES = readdirSync(FOLDER).filter(name => /^v\d/.test(name));

/** The files that a release made; older ones do not have every option. */
export function filesOf(release: string): string[] {
  return readdirSync(join(FOLDER, release));
}

export function sopsFixture(release: string, file: string): string {
  return join(FOLDER, release, file);
}

export function sopsKey(name: string): string {
  return join(FOLDER, 'keys', name);
}

export const ALL_KEYS = ['age', 'ssh-ed25519', 'ssh-rsa', 'pq'].map(sopsKey);

/** @returns the value as latin1, so that bytes stay bytes */
export async function openSops(
  path: string,
  key?: string,
  identityPaths: readonly string[] = ALL_KEYS,
): Promise<string> {
  const identities = await loadIdentities({ vm: 'web', paths: identityPaths, passphraseFiles: [] });
  const source = { sops: path, ...(key !== undefined && { key }) };
  const value = await openSource({ vm: 'web', credential: 'A', source }, identities);
  const text = value.open(bytes => bytes.toString('latin1'));
  value.wipe();
  identities.wipe();
  return text;
}

export async function sopsRefusal(
  path: string,
  key?: string,
  identityPaths: readonly string[] = ALL_KEYS,
): Promise<Pick<VmsecretdError, 'code' | 'message'>> {
  return openSops(path, key, identityPaths).then(
    value => ({ code: 'internal', message: `it opened: ${value}` }),
    error => {
      if (error instanceof VmsecretdError) return error;
      throw error;
    },
  );
}
