// The flags of vmsecretd, to be run, and to be described: its man page is made of them.
import { Command } from 'commander';
import { addExamples, type Examples } from './examples.js';
import type { Release } from './hypervisor/conversion.js';
import { FOR_RELEASE, FOR_RELEASE_HELP, readReleaseOption } from './release-option.js';
import { readVersion } from './version.js';

export const EXIT = { failed: 1, usedWrongly: 2 } as const;

export interface Flags {
  config?: string;
  runtimeDirectory?: string;
  stateDirectory?: string;
  definitions?: string;
}

export interface CheckFlags {
  /** The files are for another host: what this one lacks is no news. */
  otherHost?: true;
  /** Of the cloud-hypervisor that is to run them; the installed one's unless given. */
  for?: Release;
}

export interface DaemonActions {
  run(flags: Flags): Promise<void>;
  check(files: string[], flags: Flags & CheckFlags): Promise<void>;
}

export const DAEMON_EXAMPLES: Examples = {
  vmsecretd: [
    ['vmsecretd', 'the daemon in the foreground, with the default folders'],
    [
      'vmsecretd --runtime-directory /tmp/vms/run --state-directory /tmp/vms/state --definitions /tmp/vms/defined',
      'a second one beside it, with VMs of its own',
    ],
  ],
  check: [
    ['vmsecretd check web.json', 'is this definition valid?'],
    ['vmsecretd check --for 52.0 web.json', 'for another cloud-hypervisor than the one that is installed?'],
    ['vmsecretd --config config.json check', 'is this configuration?'],
  ],
};

export function buildDaemonProgram({ run, check }: DaemonActions): Command {
  const program = new Command('vmsecretd')
    .description('Starts cloud-hypervisor VMs with their secrets')
    .version(readVersion())
    .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : EXIT.usedWrongly))
    .option('--config <file>', 'configuration (config.json)')
    .option('--runtime-directory <dir>', 'sockets and state of this boot')
    .option('--state-directory <dir>', 'definitions kept by PUT')
    .option('--definitions <dir>', 'definition files, one a VM')
    .action((flags: Flags) => run(flags));
  program
    .command('check')
    .description('validate definition files, and the configuration that --config names, without a daemon')
    .argument('[file...]', 'definition files, NAME.json')
    .option('--other-host', 'the files are for another host: say nothing of what this one lacks')
    .option(FOR_RELEASE, FOR_RELEASE_HELP, readReleaseOption)
    .action((files: string[], options: CheckFlags, command: Command) => {
      const flags: Flags = program.opts();
      if (files.length === 0 && flags.config === undefined)
        command.error('vmsecretd: nothing to check: name definition files, or a configuration with --config');
      return check(files, { ...flags, ...options });
    });
  addExamples(program, DAEMON_EXAMPLES);
  return program;
}
