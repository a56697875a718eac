// A file of `systemd-creds encrypt`. Host key and TPM are systemd's matter: its own service opens the file (systemd 256), or else
// its program. The service sees a TPM that the daemon's sandbox hides.
import { createConnection } from 'node:net';
import { basename } from 'node:path';
import { systemErrorCode, type VmsecretdError } from '../../errors.js';
import { fieldOf } from '../../json-field.js';
import { identifyFile, isSystemdCredential, toSentence } from '../foreign-file.js';
import { readStream, StreamError } from '../read-stream.js';
import { ProgramError, runSecretProgram } from '../secret-program.js';
import { type FailureOptions, type NamedSource, type SourceReader, sourceFailure } from './reader.js';
import { SOURCE_LIMIT_BYTES } from './stored-file.js';

const TIMEOUT_MS = 30_000;
/** Base64 of a value, and the JSON around it. */
const ANSWER_LIMIT_BYTES = 2 * SOURCE_LIMIT_BYTES;

interface Encrypted {
  named: NamedSource;
  path: string;
  /** What it was encrypted as. */
  name: string;
  file: Buffer;
}

export const readSystemdCredential = createSystemdCredentialReader('/run/systemd/io.systemd.Credentials');

/** @param service the socket of systemd's own, which speaks Varlink */
export function createSystemdCredentialReader(service: string): SourceReader {
  return async (named, { readFile }) => {
    const path = named.source.systemdCredential ?? '';
    const file = await readFile(path);
    const encrypted = { named, path, name: named.source.name ?? basename(path), file };
    const decrypt = async () => {
      if (!isSystemdCredential(file)) throw notOne(encrypted);
      return (await decryptByService(service, encrypted)) ?? decryptByProgram(encrypted);
    };
    return { stored: file, isCiphertext: true, decrypt };
  };
}

/** Undefined where there is no such service. */
async function decryptByService(service: string, encrypted: Encrypted): Promise<Buffer | undefined> {
  const { name, file } = encrypted;
  const blob = file.toString('latin1').replace(/\s+/g, '');
  const request = JSON.stringify({ method: 'io.systemd.Credentials.Decrypt', parameters: { name, blob } });
  const answer = await ask(service, `${request}\0`).catch(cause => {
    if (cause instanceof StreamError)
      throw failure('secret_unreadable', encrypted, `${service} ${cause.message}.`);
    if (systemErrorCode(cause) !== undefined) return undefined;
    throw cause;
  });
  if (answer === undefined) return undefined;
  try {
    const { error, parameters } = parseAnswer(answer);
    if (typeof parameters?.data === 'string') return Buffer.from(parameters.data, 'base64');
    if (error?.endsWith('.NameMismatch')) throw otherName(encrypted);
    throw notForHere(encrypted, `systemd answers ${describeError(error)}`);
  } finally {
    answer.fill(0);
  }
}

function ask(service: string, request: string): Promise<Buffer> {
  const socket = createConnection(service);
  socket.on('connect', () => socket.write(request));
  return readStream(socket, { limitBytes: ANSWER_LIMIT_BYTES, timeoutMs: TIMEOUT_MS, until: 0 });
}

interface Answer {
  error?: string;
  parameters?: { data?: unknown };
}

function parseAnswer(answer: Buffer): Answer {
  try {
    const json: unknown = JSON.parse(answer.toString());
    const error = fieldOf(json, 'error');
    return {
      ...(typeof error === 'string' ? { error } : {}),
      parameters: { data: fieldOf(fieldOf(json, 'parameters'), 'data') },
    };
  } catch {
    return {};
  }
}

/** A name of an error has no other characters; an answer that is something else is not quoted. */
function describeError(error: unknown): string {
  return typeof error === 'string' && /^[A-Za-z0-9.]{1,100}$/.test(error) ? error : 'what is no answer';
}

async function decryptByProgram(encrypted: Encrypted): Promise<Buffer> {
  try {
    return await runSecretProgram({
      program: 'systemd-creds',
      args: ['decrypt', `--name=${encrypted.name}`, '-', '-'],
      searchPath: process.env.PATH ?? '',
      input: encrypted.file,
      limitBytes: SOURCE_LIMIT_BYTES,
      timeoutMs: TIMEOUT_MS,
    });
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const { problem, message, stderr: words } = error;
    if (problem !== 'failed')
      throw failure('secret_unreadable', encrypted, `the program systemd-creds ${message}.`, { words });
    if (/credential name '.*' does not match/.test(words)) throw otherName(encrypted);
    throw notForHere(encrypted, `systemd-creds decrypt ${message}`, { words });
  }
}

function otherName(encrypted: Encrypted): VmsecretdError {
  const text = `it was encrypted with another name than "${encrypted.name}". Set "name" to what systemd-creds encrypt was given as --name=.`;
  return failure('secret_unreadable', encrypted, text);
}

function notForHere(encrypted: Encrypted, what: string, options: FailureOptions = {}): VmsecretdError {
  const text = `${what}. It was encrypted on another host, with a key that is not at hand, or is damaged. Encrypt it again: systemd-creds encrypt --name=NAME - FILE`;
  return failure('secret_no_identity', encrypted, text, options);
}

function notOne(encrypted: Encrypted): VmsecretdError {
  const foreign = identifyFile(encrypted.file);
  const isEmpty = encrypted.file.length === 0;
  const what = isEmpty ? 'it is empty' : (foreign?.what ?? 'it is not a file of systemd-creds encrypt');
  const advice = foreign?.advice ?? 'make it so: systemd-creds encrypt --name=NAME - FILE';
  return failure('secret_corrupt', encrypted, `${what}. ${toSentence(advice)}`);
}

function failure(
  code: VmsecretdError['code'],
  { named, path }: Encrypted,
  text: string,
  options: FailureOptions = {},
): VmsecretdError {
  return sourceFailure(code, named, `${path} does not open: ${text}`, { ...options, path });
}
