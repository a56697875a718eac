// Whether the configuration is valid, and its identity files are there and closed to others.
import { existsSync } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { type Config, loadConfig, NO_CONFIG } from '../../config.js';
import { SSH_HOST_KEYS } from '../../default-identities.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { closePlace, findPlace } from '../../system/find-together.js';
import { quoteWord } from '../../system/quote-word.js';
import { explainReadError, readRegularFile } from '../../system/read-regular-file.js';
import { requireTrusted, UntrustedPathError } from '../../system/trusted-path.js';
import { type Finding, fine, page, warning, wrong } from './finding.js';

/** Of an identity file that is one. */
const KEY_LIMIT_BYTES = 1024 * 1024;

export async function readConfig(path: string): Promise<{ config: Config; findings: Finding[] }> {
  try {
    const config = await loadConfig(path);
    return { config, findings: [fine('configuration', existsSync(path) ? path : `${path} ${NO_CONFIG}`)] };
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return {
      config: {},
      findings: [wrong('configuration', error.message, 'correct that, then restart vmsecretd')],
    };
  }
}

/** Of the default keys a host has one, or both: one that is not there is no fault. */
export async function checkIdentities(
  identities: readonly string[],
  passphraseFiles: readonly string[],
): Promise<Finding[]> {
  const there = await Promise.all(identities.map(isThere));
  const named = identities.filter((path, index) => there[index] || !SSH_HOST_KEYS.includes(path));
  const findings = await Promise.all([
    ...named.map(checkIdentity),
    ...passphraseFiles.map(path => checkKeyFile('passphrase file', path)),
  ]);
  if (there.includes(true)) return findings;
  const fix = 'ssh-keygen -A, or age-keygen -o FILE and FILE in identities of config.json';
  const lookedFor = `none of the daemon's own (looked for: ${identities.join(', ') || 'nothing'})`;
  const detail = `${lookedFor}: age files open only for VMs whose definition has identities`;
  return [...findings, warning('identity', detail, fix)];
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    error => systemErrorCode(error) !== 'ENOENT',
  );
}

/** That a file is there and closed says nothing of whether its keys open anything. */
async function checkIdentity(path: string): Promise<Finding> {
  const finding = await checkKeyFile('identity', path);
  if (finding.level !== 'ok') return finding;
  const kind = await findUselessKind(path);
  if (kind === undefined) return finding;
  const fix = `take it out of identities, or name another key; ${page('secrets.md')} lists what opens age files`;
  return wrong('identity', `${path} has ${kind}, which opens no age file`, fix);
}

/** By what stands in the clear: this program has no code that opens keys. */
async function findUselessKind(path: string): Promise<string | undefined> {
  const text = (await readRegularFile(path, { limitBytes: KEY_LIMIT_BYTES, trust: 'root' })).toString(
    'latin1',
  );
  if (/^(age1|ssh-(ed25519|rsa) AAAA)/m.test(text)) return 'a public key';
  const blocks = [...text.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]*)/gm)];
  const kinds = blocks.map(([, label = '', body = '']) => kindOf(label, body));
  // One that is of use is enough.
  return kinds.includes(undefined) ? undefined : kinds[0];
}

function kindOf(label: string, body: string): string | undefined {
  if (label === 'EC PRIVATE KEY') return 'an ECDSA key';
  if (label === 'DSA PRIVATE KEY') return 'a DSA key';
  if (label !== 'OPENSSH PRIVATE KEY') return undefined;
  // The public part comes first, and in the clear.
  const [kind] =
    /ssh-ed25519|ssh-rsa|ssh-dss|ecdsa-sha2-\w+|sk-[\w.@-]+/.exec(
      Buffer.from(body, 'base64').toString('latin1'),
    ) ?? [];
  return kind === undefined || kind === 'ssh-ed25519' || kind === 'ssh-rsa'
    ? undefined
    : `a key of the kind ${kind}`;
}

async function checkKeyFile(check: string, path: string): Promise<Finding> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o007) !== 0) {
      const shown = (mode & 0o777).toString(8);
      return wrong(check, `${path} is open to everybody (mode ${shown})`, `chmod 600 ${quoteWord(path)}`);
    }
    await access(path, constants.R_OK);
    requireTrusted(path, 'root');
    return fine(check, path);
  } catch (error) {
    if (error instanceof UntrustedPathError) return wrong(check, `${path} is refused`, error.message);
    const code = systemErrorCode(error) ?? 'unknown error';
    if (code === 'ENOENT' || code === 'ELOOP') {
      const fix = 'create it, or correct its path in config.json';
      return wrong(check, `${path} ${whyNotFound(path) ?? 'does not exist'}`, fix);
    }
    const fix = 'run vmsecretctl doctor as the user of the daemon';
    return warning(check, `${path} cannot be read (${code})`, fix);
  }
}

/** Names the link that leads nowhere, which stat(2) does not. */
function whyNotFound(path: string): string | undefined {
  const place = findPlace(path);
  closePlace(place);
  return 'error' in place ? explainReadError(place.error) : undefined;
}
