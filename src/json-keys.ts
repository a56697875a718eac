// Of a key that stands twice in an object, JSON.parse keeps the last and drops the first without a word: a secret could go that way.

/** A string, with a colon behind it where it is a key, or what opens and closes objects and lists. */
const TOKENS = /"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/gs;

/** No document of ours has ten; whoever walks through one without an end runs out of stack. */
const DEEPEST = 100;

/** @param text is JSON @returns what is wrong with it all the same */
export function findJsonFault(text: string): string | undefined {
  // A list has no keys, and its place.
  const open: (Set<string> | undefined)[] = [];
  for (const [token] of text.matchAll(TOKENS)) {
    if (open.length > DEEPEST) return `it is nested deeper than ${DEEPEST}`;
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (token.endsWith(':')) {
      const key: string = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) return `the key ${JSON.stringify(key.slice(0, 200))} is there twice in one object`;
      keys?.add(key);
    }
  }
  return undefined;
}

/** JSON.parse for what people write. @throws SyntaxError also for what `findJsonFault` finds */
export function parseJsonOnce(text: string): unknown {
  const value = parseUnquoted(text);
  const fault = findJsonFault(text);
  if (fault !== undefined) throw new SyntaxError(fault);
  return value;
}

/** V8 quotes what stands around a mistake, which may be a secret that was pasted without quotation marks. */
function parseUnquoted(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    throw new SyntaxError(message.replace(/(?:^|, )(?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON$/s, ''));
  }
}
