// Reads and opens the sources of credentials. Every failure is a VmsecretdError that names the VM, the credential, the source and
// what to do; none of them says anything about the value.
import { kindOf } from '../definition/credential-source.js';
import type { FoundPlace } from '../system/find-together.js';
import type { Identities } from './identities.js';
import { SecretValue } from './secret-value.js';
import type { Loaded, NamedSource, ReadTools } from './sources/reader.js';
import { READERS } from './sources/readers.js';
import { readStoredFile, SOURCE_LIMIT_BYTES } from './sources/stored-file.js';
import { trimEnding } from './trim.js';

export { type NamedSource, SOURCE_LIMIT_BYTES };

export interface SessionOptions {
  identities?: Identities;
  /** Where the files of the sources were found together; see find-together.ts. */
  places?: ReadonlyMap<string, FoundPlace>;
  /** The VM's unit, by which a service behind a socket knows it. */
  unit?: string;
}

/** What the sources of one VM share while they are read. Whoever makes it ends it. */
export class SourceSession {
  readonly #options: SessionOptions;
  readonly #shared = new Map<string, Promise<unknown>>();

  constructor(options: SessionOptions = {}) {
    this.#options = options;
  }

  /** What the source has, encrypted or plain; the caller wipes it. */
  load(named: NamedSource): Promise<Loaded> {
    return READERS[kindOf(named.source)](named, this.#toolsFor(named));
  }

  /** The caller wipes the value. @param onLoaded sees what the source has before it is decrypted */
  async open(named: NamedSource, onLoaded?: (loaded: Loaded) => Promise<void>): Promise<SecretValue> {
    const loaded = await this.load(named);
    await onLoaded?.(loaded);
    const bytes = loaded.decrypt === undefined ? loaded.stored : await loaded.decrypt();
    return new SecretValue(trimEnding(bytes, named.source.trim ?? 'none'));
  }

  async end(): Promise<void> {
    for (const shared of this.#shared.values()) {
      const result = await shared.catch(() => undefined);
      (result as { wipe?(): void } | undefined)?.wipe?.();
    }
  }

  #toolsFor(named: NamedSource): ReadTools {
    const { identities, places, unit = `${named.vm}.service` } = this.#options;
    return {
      identities,
      unit,
      readFile: path => readStoredFile(named, path, places?.get(path)),
      share: <Result>(name: string, make: () => Promise<Result>) => {
        const shared = (this.#shared.get(name) as Promise<Result> | undefined) ?? make();
        this.#shared.set(name, shared);
        return shared;
      },
    };
  }
}

/** One source by itself. The caller wipes the value. */
export async function openSource(named: NamedSource, identities: Identities): Promise<SecretValue> {
  const session = new SourceSession({ identities });
  try {
    return await session.open(named);
  } finally {
    await session.end();
  }
}
