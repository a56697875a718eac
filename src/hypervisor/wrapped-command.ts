// Refuses what stands before the program on a command line, as people start it from a shell: vmsecretd starts the program itself.
import { basename } from 'node:path';
import { commandInvalid } from '../definition/command-error.js';

const USER = 'Who runs the VMM is for "user" of the definition, or User= of its unit.';
const NAMESPACE = 'A unit with NetworkNamespacePath= runs its VMM in a network namespace.';
const LIMITS = 'Limits and priorities are for the unit of the VM, such as CPUAffinity= and Nice=.';
const ENVIRONMENT = 'The VMM gets no environment but PATH.';

/** What to do in its place; empty where there is nothing to be done. */
const WRAPPERS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['sudo', 'doas', 'pkexec', 'su', 'runuser', 'setpriv', 'chpst', 'gosu'].map(name => [name, USER]),
  ),
  ...Object.fromEntries(
    ['ip', 'nsenter', 'unshare', 'firejail', 'bwrap', 'chroot'].map(name => [name, NAMESPACE]),
  ),
  ...Object.fromEntries(
    ['nice', 'ionice', 'taskset', 'numactl', 'chrt', 'prlimit', 'systemd-run', 'cgexec', 'ulimit'].map(
      name => [name, LIMITS],
    ),
  ),
  ...Object.fromEntries(
    [
      'exec',
      'time',
      'command',
      'nohup',
      'setsid',
      'timeout',
      'stdbuf',
      'strace',
      'ltrace',
      'gdb',
      'perf',
    ].map(name => [name, '']),
  ),
  ...Object.fromEntries(['sh', 'bash', 'dash', 'zsh', 'screen', 'tmux', 'xargs'].map(name => [name, ''])),
  env: ENVIRONMENT,
  export: ENVIRONMENT,
};

/** `NAME=value`, as a shell sets a variable for one command. */
const ASSIGNMENT = /^[A-Za-z_]\w*=/;

/**
 * @param isProgram whether a word without its folders is the hypervisor's program
 * @throws VmsecretdError command_invalid
 */
export function refuseWrapper(argv: readonly string[], isProgram: (name: string) => boolean): void {
  const [first = ''] = argv;
  if (adviceFor(first) === undefined) return;
  const at = argv.findIndex(word => isProgram(basename(word)));
  const words = at > 0 ? argv.slice(0, at) : [first];
  const advice = [...new Set(words.flatMap(word => adviceFor(word) ?? []))].join(' ');
  throw commandInvalid(
    `"${words.map(hideValue).join(' ')}" belongs to no option, and stands before the hypervisor: leave it out, and begin with the program or its first option. ${advice}`.trimEnd(),
    {},
  );
}

/** Undefined for what is no such word. */
function adviceFor(word: string): string | undefined {
  return ASSIGNMENT.test(word) ? ENVIRONMENT : WRAPPERS[basename(word)];
}

/** What a variable is set to may be a secret. */
function hideValue(word: string): string {
  const [assigned] = ASSIGNMENT.exec(word) ?? [];
  return (assigned === undefined ? word : `${assigned}...`).replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 60);
}
