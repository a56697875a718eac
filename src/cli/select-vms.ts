// Which VMs a command is for: names, and patterns as a shell has them.
import { isVmList } from './answer-checks.js';
import { understand, type VmListAnswer } from './answers.js';
import { CliError, type Client, EXIT } from './client.js';

export async function listVms(client: Client): Promise<VmListAnswer> {
  return understand(await client.call('GET', '/v1/vms'), isVmList);
}

/** @returns each name once, patterns replaced by the names that they match @throws CliError where a pattern matches none */
export async function resolveNames(client: Client, words: readonly string[]): Promise<string[]> {
  if (!words.some(isPattern)) return [...new Set(words)];
  const known = (await listVms(client)).vms.map(({ name }) => name);
  const names = words.flatMap(word => {
    if (!isPattern(word)) return [word];
    const matching = known.filter(matcherOf(word));
    if (matching.length === 0)
      throw new CliError(`No VM matches ${word}; vmsecretctl list shows all of them`, EXIT.unknownVm);
    return matching;
  });
  return [...new Set(names)];
}

export const isPattern = (word: string) => /[*?[]/.test(word);

/** As glob(7): `*`, `?`, `[a-z]`, `[!a-z]`. @throws CliError where a bracket is not closed */
export function matcherOf(pattern: string): (name: string) => boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
    .replaceAll('[!', '[^');
  try {
    const expression = new RegExp(`^${source}$`);
    return name => expression.test(name);
  } catch {
    throw new CliError(`${pattern} is not a pattern: it takes *, ? and [a-z]`, EXIT.usedWrongly);
  }
}

/** @returns whether VMs are named rather than all meant @throws CliError where neither or both is so */
export function requireChoice(verb: string, names: readonly string[], all: boolean | undefined): boolean {
  if (names.length > 0 && all === true)
    throw new CliError(`${verb}: name VMs, or all of them by an option, not both`, EXIT.usedWrongly);
  if (names.length === 0 && all !== true)
    throw new CliError(`${verb}: which VM? vmsecretctl list shows them`, EXIT.usedWrongly);
  return names.length > 0;
}
