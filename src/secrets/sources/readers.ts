// The table of readers, one for each kind of source.
import type { SourceKind } from '../../definition/credential-source.js';
import { readAge } from './age.js';
import { readFileSource } from './file.js';
import { readProgram } from './program.js';
import type { SourceReader } from './reader.js';
import { readSocket } from './socket.js';
import { readSops } from './sops.js';
import { readSystemdCredential } from './systemd-credential.js';
import { readText } from './text.js';

export const READERS: Readonly<Record<SourceKind, SourceReader>> = {
  age: readAge,
  file: readFileSource,
  sops: readSops,
  systemdCredential: readSystemdCredential,
  program: readProgram,
  socket: readSocket,
  text: readText,
};
