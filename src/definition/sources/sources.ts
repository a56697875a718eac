// Every kind of source, by the key that names it. A new one is a file beside this one and its name here; the compiler then asks
// for its reader in src/secrets/sources/readers.ts.
import { age } from './age.js';
import { file } from './file.js';
import { program } from './program.js';
import { socket } from './socket.js';
import { sops } from './sops.js';
import type { SourceKindInfo } from './source-kind.js';
import { systemdCredential } from './systemd-credential.js';
import { text } from './text.js';

const KINDS = { age, file, text, sops, systemdCredential, program, socket };

/** Each a key of a source, of which it has exactly one. */
export type SourceKind = keyof typeof KINDS;

type KeysOf<Info> = Info extends SourceKindInfo<infer Keys> ? Keys : never;
type AllOf<Union> = (Union extends unknown ? (keys: Union) => void : never) extends (keys: infer All) => void
  ? All
  : never;
/** The keys of every kind. */
export type SourceKeys = AllOf<KeysOf<(typeof KINDS)[SourceKind]>>;

export const SOURCES: Readonly<Record<SourceKind, SourceKindInfo<SourceKeys>>> = KINDS;
export const SOURCE_KINDS = Object.keys(SOURCES) as SourceKind[];
