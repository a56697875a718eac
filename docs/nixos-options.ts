// The page of the NixOS options, from the modules themselves. Needs nix-instantiate.
import { execa } from 'execa';
import { type Page, renderPage } from './reference.js';

const EXPRESSION = 'import ./docs/nixos-options.nix (toString ./nixos-module)';

export async function renderOptionsPage(): Promise<Page> {
  const flags = ['--eval', '--strict', '--json', '--store', 'dummy://'];
  const { stdout } = await execa('nix-instantiate', [...flags, '--expr', EXPRESSION]);
  const options = JSON.parse(stdout) as { option: string; description: string }[];
  const rows = options.map(({ option, description }) => [`\`${option}\``, inMarkdown(description)]);
  return renderPage('docs/nixos-options.md', [['option', 'meaning'], ...rows]);
}

/** The roles of NixOS's manual, {option}`a.b` and the like, are for its own renderer. */
function inMarkdown(description: string): string {
  return description.replace(/\{(option|file|command|manpage|var|env)\}(?=`)/g, '').trim();
}
