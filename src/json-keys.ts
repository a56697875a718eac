// Of a key that stands twice in an object, JSON.parse keeps the last and drops the first without a word: a secret could go that way.

/** A string, with a colon behind it where it is a key, or what opens and closes objects and lists. */
const TOKENS = /"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/gs;

/** @param text is JSON @returns a key that an object has twice */
export function findDoubleKey(text: string): string | undefined {
  // A list has no keys, and its place.
  const open: (Set<string> | undefined)[] = [];
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (token.endsWith(':')) {
      const key: string = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/** JSON.parse for what people write. @throws SyntaxError also for a key that is there twice */
export function parseJsonOnce(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const key = findDoubleKey(text);
  if (key !== undefined) throw new SyntaxError(doubleKey(key));
  return value;
}

export function doubleKey(key: string): string {
  return `the key ${JSON.stringify(key.slice(0, 200))} is there twice in one object`;
}
