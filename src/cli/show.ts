// show, check, command, convert: what is, and what would be.

import type { Command } from 'commander';
import { type Release, viewConversion } from '../hypervisor/conversion.js';
import { stringifyExactly } from '../hypervisor/exact-json.js';
import { FOR_RELEASE, FOR_RELEASE_HELP, readReleaseOption } from '../release-option.js';
import { quoteCommand } from '../system/quote-command.js';
import { isCheckReport, isCommand, isVm } from './answer-checks.js';
import { understand } from './answers.js';
import { EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { renderChecks, renderVm } from './render.js';
import { listVms, requireChoice, resolveNames } from './select-vms.js';

export function addShowCommands(program: Command): void {
  program
    .command('show')
    .aliases(['status', 'info', 'inspect'])
    .argument('<names...>', 'names or patterns')
    .description('show VMs in detail')
    .action(async (words: string[], _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const names = await resolveNames(client, words);
      const answers = await Promise.all(names.map(name => client.call('GET', vmPath(name))));
      const vms = answers.map(answer => understand(answer, isVm));
      print(vms.length === 1 ? vms[0] : { vms }, (_answer, look) =>
        vms.map(vm => renderVm(vm, look)).join('\n\n'),
      );
    });
  program
    .command('check')
    .argument('[names...]', 'names or patterns')
    .option('--all', 'every VM')
    .description('a start without the start: decrypts, and forgets')
    .action(async (words: string[], { all }: { all?: boolean }, command: Command) => {
      const { client, print, busy } = contextOf(command);
      const names = requireChoice('check', words, all)
        ? await resolveNames(client, words)
        : (await listVms(client)).vms.map(({ name }) => name);
      const asked = names.map(name => client.wait('POST', vmPath(name, '/check')));
      const answers = await busy(`checking ${names.join(', ')}`, Promise.all(asked));
      const reports = answers.map(answer => understand(answer, isCheckReport));
      const named = reports.map((report, index) => ({ name: names[index] ?? '', ...report }));
      print(all || named.length > 1 ? { vms: named } : reports[0], (_answer, look) =>
        named
          .map(report => (named.length > 1 ? `${report.name}\n` : '') + renderChecks(report, look))
          .join('\n\n'),
      );
      if (reports.some(({ ok }) => !ok)) process.exitCode = EXIT.failed;
    });
  program
    .command('command')
    .argument('<name>')
    .description('the complete command line, secrets shown as <NAME: size>')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const answer = understand(await client.call('GET', vmPath(name, '/command')), isCommand);
      print(answer, ({ command: words, arguments: own, vmConfig }) => {
        const line = quoteCommand(words);
        // Of a definition with a VM config the line has no VM.
        const isApiOnly = vmConfig !== null && words.length === own.length + 1;
        return isApiOnly
          ? `${line}\n# with this as the body of vm.create\n${JSON.stringify(vmConfig, null, 2)}`
          : line;
      });
    });
  program
    .command('convert')
    .argument('<arguments...>')
    .option(FOR_RELEASE, FOR_RELEASE_HELP, readReleaseOption)
    .showHelpAfterError('(put -- before the command line: vmsecretctl convert -- --kernel ...)')
    .description('convert a cloud-hypervisor command line to its VM config, without a daemon')
    .action(async (words: string[], { for: wanted }: { for?: Release }) => {
      const release = wanted ?? (await readInstalledRelease());
      const view = viewConversion(words, release);
      process.stdout.write(`${stringifyExactly(view, 2)}\n`);
      const flags = view.needsFileDescriptors;
      if (flags.length === 0) return;
      process.stderr.write(
        `vmsecretctl: ${flags.join(' and ')} pass open file descriptors, which the VM config does not carry (needs_file_descriptors)\n`,
      );
    });
}

/** What runs programs is loaded for this alone. */
async function readInstalledRelease(): Promise<Release> {
  const { installedRelease } = await import('../hypervisor/hypervisors.js');
  return installedRelease({}, process.env.PATH ?? '');
}
