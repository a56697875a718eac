// The private keys that open age files, read once for each start and only when its first age source asks for them.
// A file that is absent, empty or closed to us is skipped with a note, as agenix does. So is a key that is of no use, or
// a file that is refused, while another identity is there: nothing is wrong until no key opens a secret.

import type { Stats } from 'node:fs';
import { VmsecretdError } from '../errors.js';
import { explainReadError, ReadRefusedError, readRegularFile } from '../system/read-regular-file.js';
import { AgeFileError, type AgeIdentity } from './age-identity.js';
import { decryptAgeFile, looksLikeAgeFile } from './decrypt.js';
import { parseIdentityFile } from './identity-file.js';
import { IdentityFileError, PASSPHRASE_REMEDY } from './identity-file-error.js';
import type { PluginSettings } from './plugin-identity.js';
import { createScryptIdentity } from './scrypt.js';
import { trimEnding } from './trim.js';

/** Far more than any key file has; keeps /dev/zero and the like out. */
const KEY_FILE_LIMIT_BYTES = 1024 * 1024;
const READABLE_BY_OTHERS = 0o004;

export interface IdentitySettings {
  vm: string;
  /** Absolute paths of identity files. */
  paths: readonly string[];
  /** Absolute paths of files with one passphrase each, for age files and SSH keys that have one. */
  passphraseFiles: readonly string[];
}

/** The keys of one start. Whoever loaded them wipes them. */
export class Identities {
  readonly #settings: IdentitySettings;
  readonly #plugins: PluginSettings;
  readonly #notes: string[] = [];
  #list: Promise<AgeIdentity[]> | undefined;
  #loaded: AgeIdentity[] = [];
  /** Each file, or key in one, that is refused. */
  readonly #refused: { path: string; why: string }[] = [];

  constructor(settings: IdentitySettings, plugins: PluginSettings) {
    this.#settings = settings;
    this.#plugins = plugins;
  }

  /** Reads the files at the first call. @throws VmsecretdError secret_no_identity where all that is there is refused */
  list(): Promise<readonly AgeIdentity[]> {
    this.#list ??= this.#load();
    return this.#list;
  }

  /** What has been read so far, for error messages. */
  get loaded(): readonly AgeIdentity[] {
    return this.#loaded;
  }

  /** For `check`: a clause for each file that was skipped or deserves a warning ("PATH does not exist"). */
  get notes(): readonly string[] {
    return this.#notes;
  }

  wipe(): void {
    for (const identity of this.#loaded) identity.wipe();
    this.#loaded = [];
  }

  async #load(): Promise<AgeIdentity[]> {
    const passphrases: Buffer[] = [];
    for (const path of this.#settings.passphraseFiles) {
      const content = await this.#readKeyFile(path);
      if (content === undefined) continue;
      const passphrase = trimEnding(content, 'newline');
      passphrases.push(passphrase);
      this.#loaded.push(createScryptIdentity(passphrase, path));
    }
    for (const path of this.#settings.paths) {
      this.#loaded.push(...(await this.#loadIdentityFile(path, passphrases)));
    }
    if (this.#loaded.length === 0) this.#throwRefused();
    this.#notes.push(...this.#refused.map(({ path, why }) => `${path} is refused: ${why}`));
    // A key at hand is tried before a plugin is run for nothing.
    this.#loaded.sort((a, b) => Number(a.isCostly ?? false) - Number(b.isCostly ?? false));
    return this.#loaded;
  }

  async #loadIdentityFile(path: string, passphrases: readonly Buffer[]): Promise<AgeIdentity[]> {
    const content = await this.#readKeyFile(path);
    if (content === undefined) return [];
    let plain = content;
    try {
      if (looksLikeAgeFile(content)) plain = await this.#openIdentityFile(content);
      const refusedBefore = this.#refused.length;
      const onUnusable = (why: string) => this.#refused.push({ path, why });
      const identities = parseIdentityFile(plain, path, { passphrases, plugins: this.#plugins, onUnusable });
      if (identities.length === 0 && this.#refused.length === refusedBefore)
        this.#notes.push(`${path} holds no identity`);
      return identities;
    } catch (error) {
      if (!(error instanceof IdentityFileError)) throw error;
      this.#refused.push({ path, why: error.message });
      return [];
    } finally {
      content.fill(0);
      plain.fill(0);
    }
  }

  /** As `age -p` encrypts an identity file: with a passphrase. */
  async #openIdentityFile(content: Buffer): Promise<Buffer> {
    const passphrases = this.#loaded.filter(identity => identity.kind === 'scrypt');
    try {
      return await decryptAgeFile(content, passphrases);
    } catch (error) {
      if (!(error instanceof AgeFileError)) throw error;
      const remedy = error.problem === 'no_match' ? `; ${PASSPHRASE_REMEDY}` : '';
      throw new IdentityFileError(`${error.message}${remedy}`, { cause: error });
    }
  }

  /** Undefined, with a note, for a file that is absent, empty or cannot be read. */
  async #readKeyFile(path: string): Promise<Buffer | undefined> {
    const inspect = (stats: Stats) => {
      if (stats.mode & READABLE_BY_OTHERS)
        this.#notes.push(`${path} is readable by everybody (chmod 600 it)`);
    };
    try {
      const content = await readRegularFile(path, {
        limitBytes: KEY_FILE_LIMIT_BYTES,
        inspect,
        trust: 'root',
      });
      if (content.length > 0) return content;
      this.#notes.push(`${path} is empty`);
    } catch (error) {
      this.#notes.push(`${path} ${explainSkipped(error)}`);
    }
    return undefined;
  }

  /** Where nothing else is left to try. */
  #throwRefused(): void {
    const [first] = this.#refused;
    if (first === undefined) return;
    const { vm } = this.#settings;
    const files = this.#refused
      .map(({ path, why }) => `the identity file ${path} is refused: ${why}`)
      .join('; ');
    throw new VmsecretdError('secret_no_identity', `VM ${vm}: ${files}`, {
      details: { vm, path: first.path },
    });
  }
}

const PLUGIN_TIMEOUT_MS = 30_000;

/**
 * Reads nothing yet: a VM without age sources needs no key.
 * Plugins are looked for in this process's PATH unless told otherwise.
 */
export async function loadIdentities(
  settings: IdentitySettings,
  plugins: PluginSettings = { searchPath: process.env.PATH ?? '', timeoutMs: PLUGIN_TIMEOUT_MS },
): Promise<Identities> {
  return new Identities(settings, plugins);
}

function explainSkipped(error: unknown): string {
  if (error instanceof ReadRefusedError) return `is skipped: ${error.message}`;
  const why = explainReadError(error);
  if (why === undefined) throw error;
  return why;
}
