// The identity files of a daemon whose configuration names none.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Agreed with sshd: what agenix, too, decrypts with. A host has one of them, or both. */
export const SSH_HOST_KEYS: readonly string[] = [
  '/etc/ssh/ssh_host_ed25519_key',
  '/etc/ssh/ssh_host_rsa_key',
];

/** The host's SSH keys, and what LoadCredential=identity… of the daemon's unit has brought. */
export async function defaultIdentities(environment: NodeJS.ProcessEnv): Promise<string[]> {
  const directory = environment.CREDENTIALS_DIRECTORY;
  if (directory === undefined) return [...SSH_HOST_KEYS];
  const entries = await readdir(directory).catch(() => []);
  const identities = entries.filter(entry => entry.startsWith('identity')).sort();
  return [...SSH_HOST_KEYS, ...identities.map(entry => join(directory, entry))];
}
