// The text both sides of the age plugin protocol speak: stanzas as in an age header, one after another.

import type { Readable } from 'node:stream';
import type { Stanza } from 'age-encryption';

const LINE_CHARACTERS = 64;
/** A stanza carries a file key or a sentence; a plugin that sends more is broken. */
const STANZA_LIMIT_CHARACTERS = 64 * 1024;

export function encodeStanza(args: readonly string[], body: Uint8Array = new Uint8Array()): string {
  const text = Buffer.from(body).toString('base64').replace(/=+$/, '');
  const lines = [`-> ${args.join(' ')}`];
  for (let start = 0; start <= text.length; start += LINE_CHARACTERS) {
    lines.push(text.slice(start, start + LINE_CHARACTERS));
  }
  return `${lines.join('\n')}\n`;
}

/** Stanzas as they come, until the stream ends; throws for anything else. */
export async function* readStanzas(stream: Readable): AsyncGenerator<Stanza> {
  let args: string[] | null = null;
  let body = '';
  for await (const line of readLines(stream)) {
    if (args === null) {
      const [arrow, ...words] = line.split(' ');
      if (arrow !== '->' || words.length === 0) throw new Error('it does not speak the plugin protocol');
      args = words;
      continue;
    }
    body += line;
    if (body.length > STANZA_LIMIT_CHARACTERS) throw new Error('it sent too much');
    if (line.length === LINE_CHARACTERS) continue;
    yield { args, body: Buffer.from(body, 'base64') };
    args = null;
    body = '';
  }
}

async function* readLines(stream: Readable): AsyncGenerator<string> {
  let pending = '';
  for await (const chunk of stream) {
    const lines = (pending + String(chunk)).split('\n');
    pending = lines.pop() ?? '';
    if (pending.length > STANZA_LIMIT_CHARACTERS) throw new Error('it sent too much');
    yield* lines;
  }
}
