// The key of a sops source: names of maps and positions in lists, from the outside in.

/** As `sops decrypt --extract` has it: `["my-app"]["api/key"][0]`. */
const EXTRACT = /^(?:\[(?:"(?:[^"\\]|\\.)*"|'[^']*'|\d+)\])+$/;
const EXTRACT_PART = /\[(?:("(?:[^"\\]|\\.)*")|'([^']*)'|(\d+))\]/g;

/** The parts of a key; null for one that begins as `--extract` has it and does not go on so. */
export function parseSopsKey(key: string): string[] | null {
  if (!/^\[["'\d]/.test(key)) return key.split('/');
  if (!EXTRACT.test(key)) return null;
  return [...key.matchAll(EXTRACT_PART)].map(([, json, quoted, position]) =>
    json === undefined ? (quoted ?? position ?? '') : unquote(json),
  );
}

function unquote(json: string): string {
  try {
    return String(JSON.parse(json));
  } catch {
    return json.slice(1, -1);
  }
}
