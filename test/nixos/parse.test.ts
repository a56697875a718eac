import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { missingNix, projectRoot } from './nix.js';

/** Without a store, so that any user may. */
const PARSE = ['--store', 'dummy://', '--parse'];

t.test('every Nix file parses', { skip: await missingNix() }, async t => {
  const modules = readdirSync(join(projectRoot, 'nixos-module'), { recursive: true, encoding: 'utf8' });
  const files = [
    'flake.nix',
    'docs/nixos-options.nix',
    ...modules.filter(file => file.endsWith('.nix')).map(file => join('nixos-module', file)),
  ];
  t.ok(files.length > 20, 'the files are found');
  await execa('nix-instantiate', [...PARSE, ...files], { cwd: projectRoot, stdout: 'ignore' });
});

const DOCS = join(projectRoot, 'docs');
const README = '../README.md';
const blocksOf = (page: string) =>
  [...readFileSync(join(DOCS, page), 'utf8').matchAll(/^```nix\n([\s\S]*?)^```/gm)].map(
    ([, code = '']) => code,
  );

t.test(
  'every Nix text of the documentation parses, as a whole file or as a part of one',
  {
    skip: await missingNix(),
  },
  async t => {
    const pages = readdirSync(DOCS).filter(page => page.startsWith('nixos'));
    const texts = [README, ...pages].flatMap(blocksOf);
    t.ok(texts.length >= 7, 'the texts are found');
    for (const text of texts) {
      const whole = text.startsWith('{') ? text : `{ config, pkgs, vmsecretd, ... }: { ${text} }`;
      await t.resolves(execa('nix-instantiate', [...PARSE, '-'], { input: whole, stdout: 'ignore' }), text);
    }
  },
);

t.test('a host with a VM and its secret is a flake of 20 lines', async t => {
  const [flake = ''] = blocksOf(README);
  t.match(flake, /nixosSystem/);
  t.ok(flake.trimEnd().split('\n').length <= 20, flake);
});
