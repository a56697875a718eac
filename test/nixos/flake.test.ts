// The flake's outputs, with test/nixos/nixpkgs in place of nixpkgs.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { whyNoNixosHost } from './nixos-host.js';

/** A flake of the stand-in for nixpkgs: evaluation of a flake sees no path outside it. */
function writeNixpkgs(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-nixpkgs-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(PROJECT_ROOT, 'test/nixos/nixpkgs'), join(folder, 'pkgs'), { recursive: true });
  cpSync(join(process.env.VMSECRETD_NIXPKGS_LIB ?? '', 'lib'), join(folder, 'lib'), { recursive: true });
  cpSync(join(PROJECT_ROOT, 'package.json'), join(folder, 'package.json'));
  writeFileSync(
    join(folder, 'flake.nix'),
    `{ outputs = _: { legacyPackages.x86_64-linux = import ./pkgs { lib = import ./pkgs/lib.nix ./lib; projectRoot = ./.; }; }; }`,
  );
  return folder;
}

t.test(
  'the flake shows its packages, modules, checks and shell',
  { skip: await whyNoNixosHost() },
  async t => {
    const features = ['--extra-experimental-features', 'nix-command flakes'];
    const nixpkgs = ['--override-input', 'nixpkgs', `path:${writeNixpkgs(t)}`];
    const flags = ['--json', '--no-write-lock-file', ...nixpkgs];
    const { stdout } = await execa('nix', [...features, 'flake', 'show', ...flags, PROJECT_ROOT]);
    const of = (...types: string[]) => Object.fromEntries(types.map(type => [type, { 'x86_64-linux': {} }]));
    const shown = JSON.parse(stdout);
    t.match(shown, { ...of('packages', 'checks', 'devShells', 'formatter'), overlays: { default: {} } });
    t.match(Object.keys(shown.packages['x86_64-linux']), ['default', 'vmsecretd', 'vmsecretd-launch']);
    t.match(Object.keys(shown.checks['x86_64-linux']), ['vm', 'vmsecretd']);
    t.match(Object.keys(shown.nixosModules), ['default', 'guest', 'microvm']);
  },
);

t.test('the lock file locks every input, by a public address and a hash', async t => {
  const { nodes } = JSON.parse(readFileSync(join(PROJECT_ROOT, 'flake.lock'), 'utf8'));
  t.strictSame(Object.keys(nodes), ['nixpkgs', 'root']);
  t.match(nodes.nixpkgs, {
    locked: { type: 'github', owner: 'NixOS', repo: 'nixpkgs', rev: /^[0-9a-f]{40}$/, narHash: /^sha256-/ },
    original: { type: 'github', owner: 'NixOS', repo: 'nixpkgs', ref: 'nixos-unstable' },
  });
});
