import { closestMatch } from 'leven';

/** A sentence naming the known name nearest to a misspelt one, with a leading blank; empty when none is near. */
export function suggestNearest(name: string, known: readonly string[]): string {
  const nearest = closestMatch(name, [...known], { maxDistance: Math.max(2, Math.floor(name.length / 3)) });
  return nearest === undefined || nearest === name ? '' : ` Did you mean "${nearest}"?`;
}
