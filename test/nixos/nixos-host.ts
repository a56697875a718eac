// A NixOS host with our modules: evaluated, and built, with nixpkgs.lib and microvm.nix as they are, and test/nixos/nixpkgs in place of
// the rest of nixpkgs. VMSECRETD_NIXPKGS_LIB and VMSECRETD_MICROVM_NIX name the two folders (a clone of nix-community/nixpkgs.lib and of
// microvm-nix/microvm.nix).

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { missingNix, projectRoot } from './nix.js';

const { VMSECRETD_NIXPKGS_LIB: NIXPKGS_LIB = '', VMSECRETD_MICROVM_NIX: MICROVM_NIX = '' } = process.env;

/** What tap takes as `skip`. */
export async function whyNoNixosHost(): Promise<string | false> {
  if (!existsSync(join(NIXPKGS_LIB, 'lib')))
    return 'VMSECRETD_NIXPKGS_LIB names no clone of nix-community/nixpkgs.lib';
  if (!existsSync(join(MICROVM_NIX, 'nixos-modules')))
    return 'VMSECRETD_MICROVM_NIX names no clone of microvm-nix/microvm.nix';
  return missingNix();
}

export interface HostOptions {
  /** Nix modules, as texts or paths. The host imports microvm.nix unless told otherwise. */
  modules: readonly string[];
  withMicrovmNix?: boolean;
  guestKernel?: string;
}

/** Nix text of the evaluated host, in a scope that has lib, pkgs, vmsecretd (the flake's nixosModules and lib) and host. */
function hostExpression(
  { modules, withMicrovmNix = true, guestKernel }: HostOptions,
  expression: string,
): string {
  return `let
    lib = import ${projectRoot}test/nixos/nixpkgs/lib.nix ${NIXPKGS_LIB}/lib;
    pkgs = import ${projectRoot}test/nixos/nixpkgs {
      inherit lib;
      projectRoot = ${projectRoot}.;
      ${guestKernel === undefined ? '' : `guestKernel = ${guestKernel};`}
    };
    evalConfig = import ${projectRoot}test/nixos/nixpkgs/nixos/lib/eval-config.nix;
    vmsecretd = {
      nixosModules.microvm = ${projectRoot}nixos-module/microvm.nix;
      nixosModules.guest = ${projectRoot}nixos-module/guest.nix;
      lib = import ${projectRoot}nixos-module/lib.nix;
    };
    microvmGuest = ${MICROVM_NIX}/nixos-modules/microvm;
    host = evalConfig {
      inherit pkgs;
      modules = [
        ${projectRoot}nixos-module
        ${withMicrovmNix ? `${MICROVM_NIX}/nixos-modules/host` : ''}
        ${modules.map(module => (module.startsWith('/') ? module : `(${module})`)).join('\n        ')}
      ];
    };
    inherit (host) config;
  in ${expression}`;
}

/** The value of an expression in the host's scope. @throws Error with what Nix says */
export async function evaluateHost(options: HostOptions, expression: string): Promise<unknown> {
  const flags = ['--eval', '--strict', '--json', '--read-write-mode'];
  return JSON.parse(await runNix('nix-instantiate', flags, hostExpression(options, expression)));
}

/** The expression goes to standard input, so that a failure shows what Nix says and not all of it again. */
async function runNix(program: string, flags: readonly string[], expression: string): Promise<string> {
  const result = await execa(program, [...flags, '-'], { input: expression, reject: false });
  if (result.failed) throw new Error(result.stderr.slice(-4000));
  return result.stdout.trim();
}

/** Messages of assertions that do not hold; one that cannot be evaluated rejects. */
export async function failedAssertions(options: HostOptions): Promise<string[]> {
  return (await evaluateHost(
    options,
    'map (one: one.message) (lib.filter (one: !one.assertion) config.assertions)',
  )) as string[];
}

/** Builds an attribute without a network. @returns its store path; rejects with what the build printed */
export async function buildHost(
  options: HostOptions,
  expression = 'config.system.build.toplevel',
): Promise<string> {
  const flags = [
    '--no-out-link',
    ...['--option', 'substitute', 'false'],
    ...['--option', 'sandbox', 'false'],
    ...['--option', 'build-users-group', ''],
  ];
  return runNix('nix-build', flags, hostExpression(options, expression));
}

/** Why nothing can be built here, beside what whyNoNixosHost() says. */
export async function whyNoNixBuild(): Promise<string | false> {
  return (await whyNoNixosHost()) || (process.getuid?.() === 0 ? false : 'needs root to build in /nix/store');
}
