// A key that a plugin holds (a TPM, a YubiKey): runs `age-plugin-NAME` and speaks identity-v1 of the age plugin
// protocol with it. There is nobody to ask, so whatever wants a person is answered with `fail`.

import type { Readable, Writable } from 'node:stream';
import type { Stanza } from 'age-encryption';
import pLimit from 'p-limit';
import { findProgram } from '../system/find-program.js';
import { AgeFileError, type AgeIdentity } from './age-identity.js';
import { encodeStanza, readStanzas } from './plugin-stanza.js';

export interface PluginSettings {
  /** Where `age-plugin-NAME` is looked for: a list of folders as in PATH. */
  searchPath: string;
  timeoutMs: number;
}

/** One plugin at a time: hardware keys serve one program. */
const oneAtATime = pLimit(1);
const FILE_KEY_BYTES = 16;
const WORDS_LIMIT_CHARACTERS = 500;
const STDERR_LIMIT_CHARACTERS = 1024 * 1024;

/** `encoded` is the identity as it stands in its file; it is taken over. */
export function createPluginIdentity(
  name: string,
  encoded: Buffer,
  origin: string,
  settings: PluginSettings,
): AgeIdentity {
  return {
    kind: 'plugin',
    origin: `${origin}, plugin ${name}`,
    isCostly: true,
    unwrapFileKey: stanzas => oneAtATime(() => runPlugin(name, encoded, stanzas, settings)),
    wipe: () => encoded.fill(0),
  };
}

interface Conversation {
  fileKey: Buffer | null;
  /** What the plugin said: its errors and messages. */
  words: string[];
  isDone: boolean;
}

async function runPlugin(
  name: string,
  encoded: Buffer,
  stanzas: readonly Stanza[],
  settings: PluginSettings,
): Promise<Buffer | null> {
  const program = `age-plugin-${name}`;
  const path = await findProgram(program, settings.searchPath);
  if (path === undefined) {
    throw pluginFailed(program, [`it is in no folder of PATH (${settings.searchPath})`], encoded);
  }
  const { plugin, end } = await spawnPlugin(path, settings.searchPath);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, settings.timeoutMs);
  const conversation: Conversation = { fileKey: null, words: [], isDone: false };
  try {
    plugin.stdin.write(encodeRequest(encoded, stanzas));
    await converse(plugin.stdin, plugin.stdout, conversation);
  } catch (error) {
    if (!isLate && error instanceof Error) conversation.words.push(error.message);
    end();
  }
  plugin.stdin.end();
  const outcome = await plugin;
  clearTimeout(timer);
  const { fileKey, words, isDone } = conversation;
  if (fileKey !== null) return fileKey;
  if (isDone && words.length === 0) return null;
  if (isLate) words.push(`it did not finish within ${settings.timeoutMs / 1000} seconds`);
  else if (outcome.exitCode) words.push(`exit status ${outcome.exitCode}`);
  throw pluginFailed(program, [...words, String(outcome.stderr ?? '')], encoded);
}

async function spawnPlugin(path: string, searchPath: string) {
  // Costs more to load than all of age; most hosts have no plugin.
  const { execa } = await import('execa');
  const plugin = execa(path, ['--age-plugin=identity-v1'], {
    env: { PATH: searchPath, LC_ALL: 'C.UTF-8' },
    extendEnv: false,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    buffer: { stdout: false, stderr: true },
    maxBuffer: STDERR_LIMIT_CHARACTERS,
    reject: false,
  });
  // A plugin that leaves early makes the pipe fail; its exit says more.
  plugin.stdin.on('error', () => {});
  const end = () => {
    plugin.kill('SIGKILL');
    // A plugin's own child may hold the pipes open.
    plugin.stdout.destroy();
    plugin.stderr.destroy();
  };
  // In an object: a subprocess is a promise, and await would wait for its end.
  return { plugin, end };
}

function encodeRequest(encoded: Buffer, stanzas: readonly Stanza[]): string {
  return [
    encodeStanza(['add-identity', encoded.toString('latin1')]),
    ...stanzas.map(stanza => encodeStanza(['recipient-stanza', '0', ...stanza.args], stanza.body)),
    encodeStanza(['done']),
  ].join('');
}

async function converse(toPlugin: Writable, fromPlugin: Readable, conversation: Conversation): Promise<void> {
  for await (const { args, body } of readStanzas(fromPlugin)) {
    const command = args[0];
    if (command === 'done') {
      conversation.isDone = true;
      return;
    }
    toPlugin.write(encodeStanza([answer(command, body, conversation)]));
  }
}

function answer(command: string | undefined, body: Uint8Array, conversation: Conversation): string {
  switch (command) {
    case 'file-key':
      if (body.length !== FILE_KEY_BYTES) throw new Error('it sent a file key of another length');
      conversation.fileKey ??= Buffer.from(body);
      return 'ok';
    case 'error':
      conversation.words.push(Buffer.from(body).toString());
      return 'ok';
    case 'msg':
    case 'confirm':
    case 'request-public':
    case 'request-secret':
      conversation.words.push(`it asks: ${Buffer.from(body).toString()}`);
      return 'fail';
    default:
      return 'unsupported';
  }
}

/** The plugin's own words, on one line, without control characters and without the identity. */
function pluginFailed(program: string, words: readonly string[], encoded: Buffer): AgeFileError {
  const said = words
    .map(text =>
      text
        .replaceAll(encoded.toString('latin1'), '[identity]')
        .replace(/\p{Cc}+/gu, ' ')
        .trim(),
    )
    .filter(text => text !== '')
    .join('; ');
  const message = `${program} failed: ${said.slice(0, WORDS_LIMIT_CHARACTERS) || 'it said nothing'}`;
  return new AgeFileError('plugin_failed', message);
}
