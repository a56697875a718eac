// The licenses of the packages that are in the bundles, which ask to go with every copy.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param packages folders. @throws where one says nothing of its license */
export function renderLicenses(packages: readonly string[]): string {
  const texts = packages.map(folder => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const files = readdirSync(folder).filter(file => /^(licen[cs]e|copying|notice)/i.test(file));
    const texts = files.toSorted().map(file => readFileSync(join(folder, file), 'utf8').trim());
    if (texts.length === 0 && license !== undefined)
      texts.push(`${license} license, by ${author?.name ?? author}`);
    if (texts.length === 0) throw new Error(`${folder} says nothing of its license`);
    return [`${name} ${version}`, ...texts].join('\n\n');
  });
  const head = 'dist/bundle has code of these packages, under the licenses that follow.';
  return [head, ...texts].join(`\n\n${'-'.repeat(80)}\n\n`).concat('\n');
}
