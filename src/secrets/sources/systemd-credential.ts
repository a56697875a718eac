// A file of `systemd-creds encrypt`. Host key and TPM are systemd's matter: its own service opens the file (systemd 256), or else
// its program. The service sees a TPM that the daemon's sandbox hides.
import { createConnection, type Socket } from 'node:net';
import { basename } from 'node:path';
import { systemErrorCode } from '../../errors.js';
import { identifyFile, isSystemdCredential, toSentence } from '../foreign-file.js';
import { readStream, StreamError } from '../read-stream.js';
import { ProgramError, runSecretProgram } from '../secret-program.js';
import { type NamedSource, type SourceReader, sourceFailure } from './reader.js';
import { SOURCE_LIMIT_BYTES } from './stored-file.js';

const TIMEOUT_MS = 30_000;
const SERVICE = '/run/systemd/io.systemd.Credentials';
/** Base64 of a value, and the JSON around it. */
const ANSWER_LIMIT_BYTES = 2 * SOURCE_LIMIT_BYTES;

export const readSystemdCredential: SourceReader = async (named, { readFile }) => {
  const path = named.source.systemdCredential ?? '';
  const stored = await readFile(path);
  return { stored, isCiphertext: true, decrypt: () => decrypt(named, path, stored) };
};

async function decrypt(named: NamedSource, path: string, file: Buffer): Promise<Buffer> {
  if (!isSystemdCredential(file)) throw notOne(named, path, file);
  const name = named.source.name ?? basename(path);
  return (
    (await decryptByService(named, path, { name, file })) ?? decryptByProgram(named, path, { name, file })
  );
}

interface Encrypted {
  name: string;
  file: Buffer;
}

/** Undefined where there is no such service. */
async function decryptByService(
  named: NamedSource,
  path: string,
  { name, file }: Encrypted,
): Promise<Buffer | undefined> {
  const blob = file.toString('latin1').replace(/\s+/g, '');
  const request = JSON.stringify({ method: 'io.systemd.Credentials.Decrypt', parameters: { name, blob } });
  const answer = await ask(`${request}\0`).catch(cause => {
    if (cause instanceof StreamError)
      throw sourceFailure('secret_unreadable', named, `${path} does not open: ${SERVICE} ${cause.message}.`, {
        path,
      });
    if (systemErrorCode(cause) !== undefined) return undefined;
    throw cause;
  });
  if (answer === undefined) return undefined;
  try {
    const { error, parameters } = parseAnswer(answer);
    if (typeof parameters?.data === 'string') return Buffer.from(parameters.data, 'base64');
    throw doesNotOpen(
      named,
      path,
      name,
      /NameMismatch$/.test(error ?? ''),
      `systemd answers ${describeError(error)}`,
    );
  } finally {
    answer.fill(0);
  }
}

function ask(request: string): Promise<Buffer> {
  const service: Socket = createConnection(SERVICE);
  service.on('connect', () => service.write(request));
  return readStream(service, { limitBytes: ANSWER_LIMIT_BYTES, timeoutMs: TIMEOUT_MS, until: 0 });
}

interface Answer {
  error?: string;
  parameters?: { data?: unknown };
}

function parseAnswer(answer: Buffer): Answer {
  try {
    return JSON.parse(answer.toString()) as Answer;
  } catch {
    return {};
  }
}

/** A name of an error has no other characters; an answer that is something else is not quoted. */
function describeError(error: string | undefined): string {
  return error !== undefined && /^[A-Za-z0-9.]{1,100}$/.test(error) ? error : 'what is no answer';
}

async function decryptByProgram(
  named: NamedSource,
  path: string,
  { name, file }: Encrypted,
): Promise<Buffer> {
  try {
    return await runSecretProgram({
      program: 'systemd-creds',
      args: ['decrypt', `--name=${name}`, '-', '-'],
      searchPath: process.env.PATH ?? '',
      input: file,
      limitBytes: SOURCE_LIMIT_BYTES,
      timeoutMs: TIMEOUT_MS,
    });
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const { problem, message, stderr } = error;
    if (problem === 'failed') {
      const isOtherName = /credential name '.*' does not match/.test(stderr);
      throw doesNotOpen(named, path, name, isOtherName, `systemd-creds decrypt ${message}`, stderr);
    }
    const text = `${path} does not open: the program systemd-creds ${message}.`;
    throw sourceFailure('secret_unreadable', named, text, { path, words: stderr });
  }
}

function doesNotOpen(
  named: NamedSource,
  path: string,
  name: string,
  isOtherName: boolean,
  what: string,
  words?: string,
) {
  const text = isOtherName
    ? `it was encrypted with another name than "${name}". Set "name" to what systemd-creds encrypt was given as --name=.`
    : `${what}. It was encrypted on another host, with a key that is not at hand, or is damaged. Encrypt it again: systemd-creds encrypt --name=NAME - FILE`;
  return sourceFailure(
    isOtherName ? 'secret_unreadable' : 'secret_no_identity',
    named,
    `${path} does not open: ${text}`,
    {
      path,
      words,
    },
  );
}

function notOne(named: NamedSource, path: string, file: Buffer) {
  const foreign = identifyFile(file);
  const what =
    file.length === 0 ? 'it is empty' : (foreign?.what ?? 'it is not a file of systemd-creds encrypt');
  const advice = foreign?.advice ?? 'make it so: systemd-creds encrypt --name=NAME - FILE';
  return sourceFailure('secret_corrupt', named, `${path} does not open: ${what}. ${toSentence(advice)}`, {
    path,
  });
}
