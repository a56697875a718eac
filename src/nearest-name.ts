import { closestMatch } from 'leven';

/** A VM's name has 64 at most, flags and keys are shorter: what is much longer is no misspelling of one. */
const LONGEST_NAME = 96;

/** A sentence naming the known name nearest to a misspelt one, with a leading blank; empty when none is near. */
export function suggestNearest(name: string, known: readonly string[]): string {
  if (name.length > LONGEST_NAME) return '';
  const nearest = closestMatch(name, [...known], { maxDistance: Math.max(2, Math.floor(name.length / 3)) });
  return nearest === undefined || nearest === name ? '' : ` Did you mean "${nearest}"?`;
}
