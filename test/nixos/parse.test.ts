import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { missingNix, projectRoot } from './nix.js';

t.test('every Nix file parses', { skip: await missingNix() }, async t => {
  const modules = readdirSync(join(projectRoot, 'nixos-module'), { recursive: true, encoding: 'utf8' });
  const files = [
    'flake.nix',
    ...modules.filter(file => file.endsWith('.nix')).map(file => join('nixos-module', file)),
  ];
  t.ok(files.length > 20, 'the files are found');
  await execa('nix-instantiate', ['--parse', ...files], { cwd: projectRoot, stdout: 'ignore' });
});
