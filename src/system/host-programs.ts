// The programs of the host that vmsecretd runs by name. host-programs.json is the one list of them, each with the nixpkgs
// package that has it: the Nix package puts these packages on PATH.
import { VmsecretdError } from '../errors.js';
import { findProgram } from './find-program.js';
import programs from './host-programs.json' with { type: 'json' };

export type HostProgram = keyof typeof programs;

/** Program name → nixpkgs package. */
export const HOST_PROGRAMS: Readonly<Record<HostProgram, string>> = programs;

/** @returns the declared programs that are in no folder of the search path; those of systemd only where it runs this host */
export async function findMissingPrograms(searchPath: string, isSystemdHost: boolean): Promise<string[]> {
  const wanted = Object.entries(HOST_PROGRAMS).filter(([, from]) => isSystemdHost || from !== 'systemd');
  const found = await Promise.all(wanted.map(([program]) => findProgram(program, searchPath)));
  return wanted.map(([program]) => program).filter((_, index) => found[index] === undefined);
}

/** What execa gives with `reject: false`. */
export interface ProgramResult {
  failed: boolean;
  exitCode?: number | undefined;
  code?: string | undefined;
}

/**
 * Tells a program that could not be run from one that ran and failed, which has an exit status.
 * @param program its name, or its path
 * @throws VmsecretdError supervisor_failed
 */
export function requireExecuted(program: string, { failed, exitCode, code }: ProgramResult): void {
  if (!failed || exitCode !== undefined || code === undefined) return;
  if (!['ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR'].includes(code)) return;
  throw new VmsecretdError(
    'supervisor_failed',
    `${program}: it cannot be run (${code}); add the folder that has it to PATH, which is ${process.env.PATH ?? 'unset'}`,
    { details: { program } },
  );
}
