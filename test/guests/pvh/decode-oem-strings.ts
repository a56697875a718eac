// Takes what the PVH guest printed, gives the credentials that a systemd in its place would have found.

import { END_OF_OEM_STRINGS } from './pvh-guest.js';

/** The lines up to the end marker; throws when the marker is missing, for then the output is not complete. */
export function oemStringsOf(consoleText: string): string[] {
  const lines = consoleText.split('\n');
  const end = lines.indexOf(END_OF_OEM_STRINGS);
  if (end < 0) throw new Error(`the guest's output has no line "${END_OF_OEM_STRINGS}"`);
  return lines.slice(0, end);
}

/**
 * Credentials by name, from `io.systemd.credential.binary:NAME=base64` and `io.systemd.credential:NAME=text`; other OEM
 * strings are left out. Throws for a name that is there twice and for base64 that is not canonical.
 */
export function decodeOemStrings(consoleText: string): Map<string, Buffer> {
  const credentials = new Map<string, Buffer>();
  for (const line of oemStringsOf(consoleText)) {
    const [, binary, name, text] = /^io\.systemd\.credential(\.binary)?:([^=]*)=(.*)$/s.exec(line) ?? [];
    if (name === undefined || text === undefined) continue;
    if (credentials.has(name)) throw new Error(`the guest printed credential ${name} twice`);
    const bytes = Buffer.from(text, binary ? 'base64' : 'utf8');
    if (binary && bytes.toString('base64') !== text)
      throw new Error(`credential ${name} is not valid base64`);
    credentials.set(name, bytes);
  }
  return credentials;
}
