// Imported first by each program: on an older Node it would start, and fail somewhere in the middle.
import { readFileSync } from 'node:fs';
import { PACKAGE_ROOT } from '../package-root.js';

const { engines } = JSON.parse(readFileSync(new URL('package.json', PACKAGE_ROOT), 'utf8'));

/** @param range as package.json has it: `>=` and a version. @returns what is wrong with this version; undefined where nothing is */
export function whyTooOld(version: string, range: string): string | undefined {
  const wanted = numbersOf(range.replace('>=', ''));
  const found = numbersOf(version);
  const at = wanted.findIndex((number, index) => number !== (found[index] ?? 0));
  if (at < 0 || (found[at] ?? 0) > (wanted[at] ?? 0)) return undefined;
  return `vmsecretd needs Node ${range.replace('>=', '')} or later, and this is ${version}; install it, and put its folder first in PATH`;
}

function numbersOf(version: string): number[] {
  return version.replace(/^v/, '').split('.').map(Number);
}

const why = whyTooOld(process.versions.node, engines.node);
if (why !== undefined) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
