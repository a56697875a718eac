// Evaluates Nix expressions with nix-instantiate, without a store or a network; tells why where there is none.

import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

export const projectRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** What tap takes as `skip`: false, or why there is nothing to evaluate with. */
export async function missingNix(): Promise<string | false> {
  const { failed } = await execa('nix-instantiate', ['--version'], { reject: false });
  return failed && 'nix-instantiate is not installed (Debian: nix-bin)';
}

/** The value of an expression; `lib` is nixos-module/lib.nix, `pure` the path of nixos-module/pure. */
export async function evaluate(expression: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const source = `{ args }: with builtins.fromJSON args; let
    pure = ${projectRoot}nixos-module/pure;
    lib = import ${projectRoot}nixos-module/lib.nix;
  in ${expression}`;
  const options = ['--eval', '--strict', '--json', '--store', 'dummy://'];
  const { stdout } = await execa('nix-instantiate', [
    ...options,
    '--expr',
    source,
    '--argstr',
    'args',
    JSON.stringify(args),
  ]);
  return JSON.parse(stdout);
}
