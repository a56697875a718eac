// What a service sends to whoever connects to its socket, as LoadCredential= of systemd has it: it learns from the address that
// connects whose credential is asked for. Nothing is sent to it.
import { constants, fstatSync } from 'node:fs';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { createBoundSocket, credentialAddress } from '../../system/connect-from.js';
import { closePlace, findPlace } from '../../system/find-together.js';
import { UntrustedPathError } from '../../system/trusted-path.js';
import { readStream, StreamError } from '../read-stream.js';
import { type NamedSource, type SourceReader, sourceFailure } from './reader.js';
import { explainFileError, SOURCE_LIMIT_BYTES } from './stored-file.js';

const LIMITS = { limitBytes: SOURCE_LIMIT_BYTES, timeoutMs: 30_000 };

export const readSocket: SourceReader = async (named, { unit }) => {
  const path = named.source.socket ?? '';
  const address = credentialAddress(unit, named.credential);
  if (address === null) {
    const why =
      'the names of unit and credential are too long for the address that connects; shorten one of them.';
    throw sourceFailure('secret_unreadable', named, `${path} cannot be asked: ${why}`, { path });
  }
  const place = findPlace(path);
  try {
    if ('error' in place) throw place.error;
    requireSocket(named, path, place.descriptor);
    // By its descriptor: what was looked at is what is connected to, and a long path is no matter.
    const socket = createBoundSocket(address).connect({ path: `/proc/self/fd/${place.descriptor}` });
    const stored = await readStream(socket, LIMITS);
    if (stored.length > 0) return { stored, isCiphertext: false };
  } catch (cause) {
    throw explain(named, path, cause);
  } finally {
    closePlace(place);
  }
  throw sourceFailure(
    'secret_missing',
    named,
    `${path} sent nothing: its service has no such credential, or refused.`,
    { path },
  );
};

function requireSocket(named: NamedSource, path: string, descriptor: number): void {
  if ((fstatSync(descriptor).mode & constants.S_IFMT) === constants.S_IFSOCK) return;
  const fix = 'Name a file as "file".';
  throw sourceFailure('secret_unreadable', named, `${path} is refused: it is not a socket. ${fix}`, { path });
}

function explain(named: NamedSource, path: string, cause: unknown): unknown {
  if (cause instanceof VmsecretdError) return cause;
  const failure = { path, cause };
  if (cause instanceof StreamError) {
    const code = cause.problem === 'too_large' ? 'secret_too_large' : 'secret_unreadable';
    return sourceFailure(code, named, `${path} ${cause.message}.`, failure);
  }
  if (cause instanceof UntrustedPathError)
    return sourceFailure('secret_unreadable', named, `${path} is refused: ${cause.message}.`, failure);
  const code = systemErrorCode(cause);
  if (code === 'ECONNREFUSED')
    return sourceFailure('secret_unreadable', named, `no service listens on ${path}. Start it.`, failure);
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return sourceFailure('secret_unreadable', named, `${path} closed the connection early.`, failure);
  return explainFileError(named, path, cause) ?? cause;
}
