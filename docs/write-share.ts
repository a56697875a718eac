// Part of npm run build: writes what an installation puts into PREFIX/share, man pages and completions, to a folder.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { renderCompletion, SHELLS } from '../src/cli/completion.js';
import { buildProgram } from '../src/cli/program.js';
import { renderManPage } from './man-page.js';
import { listManPages } from './man-pages.js';

const COMPLETION_FILES = {
  bash: 'bash-completion/completions/vmsecretctl',
  zsh: 'zsh/site-functions/_vmsecretctl',
  fish: 'fish/vendor_completions.d/vmsecretctl.fish',
};

const [, , folder = 'dist/share'] = process.argv;
const files = [
  ...SHELLS.map(shell => [COMPLETION_FILES[shell], renderCompletion(buildProgram(), shell)] as const),
  ...listManPages().map(
    page => [`man/man${page.section}/${page.name}.${page.section}`, renderManPage(page)] as const,
  ),
];
for (const [path, text] of files) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}
