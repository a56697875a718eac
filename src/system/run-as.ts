// Runs a command as another user, without new privileges and without core dumps.
import { readFileSync } from 'node:fs';
import type { UserIds } from './users.js';

export interface RunAsOptions {
  /** Whether the kernel is to kill it when this process ends, however it does. Where this process is confined, it has to notice by itself. */
  diesWithUs?: boolean;
}

/**
 * By setpriv, since Node's own uid and gid options drop the supplementary groups (kvm!) and know no no-new-privs;
 * by prlimit, since a core dump of a VMM or a deliverer has secrets in it: a limit of 1 byte ends a dump even where
 * core_pattern pipes it to a program, which a limit of 0 does not. Where this process is confined so itself, as in a
 * unit with NoNewPrivileges= and LimitCORE=1, its children are by themselves, and a SystemCallFilter= may let nobody ask.
 * @param ids undefined for this process's own user
 */
export function runAs(
  ids: UserIds | undefined,
  command: readonly [string, ...string[]],
  { diesWithUs = false }: RunAsOptions = {},
): [program: string, ...args: string[]] {
  // Not even to die with us: setpriv calls capset(2), which the filter of vmsecretd.service refuses.
  if (ids === undefined && isConfined()) return [...command];
  const death = diesWithUs ? ['--pdeathsig=KILL'] : [];
  const identity = ids === undefined ? [] : [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--init-groups'];
  return [
    'prlimit',
    `--core=${coreLimit()}:${coreLimit()}`,
    '--',
    'setpriv',
    ...identity,
    ...death,
    '--no-new-privs',
    '--inh-caps=-all',
    '--',
    ...command,
  ];
}

function isConfined(): boolean {
  return (
    /^NoNewPrivs:\s+1$/m.test(readFileSync('/proc/self/status', 'utf8')) &&
    new RegExp(`^Max core file size\\s+${coreLimit()}\\s+${coreLimit()}\\s`, 'm').test(readLimits())
  );
}

/** 0 where somebody has forbidden cores to this process for good, and it may not take 1. */
function coreLimit(): 0 | 1 {
  const mayNone = /^Max core file size\s+0\s+0\s/m.test(readLimits());
  const [, capabilities = '0'] = /^CapEff:\s+(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const mayRaise = (BigInt(`0x${capabilities}`) >> CAP_SYS_RESOURCE) & 1n;
  return mayNone && mayRaise === 0n ? 0 : 1;
}

const CAP_SYS_RESOURCE = 24n;

const readLimits = () => readFileSync('/proc/self/limits', 'utf8');
