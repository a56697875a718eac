// The man pages of the three programs, from the programs themselves.
import { readFileSync } from 'node:fs';
import { CLI_EXAMPLES } from '../src/cli/cli-examples.js';
import { EXIT_STATUS } from '../src/cli/client.js';
import { buildProgram } from '../src/cli/program.js';
import { buildDaemonProgram, DAEMON_EXAMPLES } from '../src/daemon-program.js';
import { readVersion } from '../src/version.js';
import { describeProgram, type ManPage, type Section } from './man-page.js';

const seeAlso = (...pages: string[]): Section => ({
  title: 'SEE ALSO',
  content: [`${pages.join(', ')}, and docs/ beside the program: PREFIX/lib/vmsecretd/docs.`],
});

export function listManPages(): ManPage[] {
  const version = readVersion();
  const daemon = buildDaemonProgram({ run: async () => {}, check: async () => {} });
  return [
    {
      name: 'vmsecretctl',
      section: 1,
      summary: 'asks vmsecretd about VMs, and starts and stops them',
      version,
      sections: [
        ...describeProgram(buildProgram(), CLI_EXAMPLES),
        { title: 'EXIT STATUS', content: [EXIT_STATUS.replace('Exit status: ', '')] },
        {
          title: 'ENVIRONMENT',
          content: [['VMSECRETD_SOCKET', 'the socket of the daemon, unless --socket is given']],
        },
        seeAlso('vmsecretd(8)', 'vmsecretd-launch(8)'),
      ],
    },
    {
      name: 'vmsecretd',
      section: 8,
      summary: 'starts cloud-hypervisor VMs with their secrets',
      version,
      sections: [
        ...describeProgram(daemon, DAEMON_EXAMPLES),
        {
          title: 'SIGNALS',
          content: [
            ['SIGHUP', 'reads the definitions again'],
            ['SIGTERM, SIGINT', 'ends the daemon; VMs go on, and the next daemon takes them over'],
          ],
        },
        {
          title: 'EXIT STATUS',
          content: ['0 ended by a signal, or everything is valid; 1 failed; 2 used wrongly.'],
        },
        seeAlso('vmsecretctl(1)', 'vmsecretd-launch(8)', 'systemd.service(5)'),
      ],
    },
    {
      name: 'vmsecretd-launch',
      section: 8,
      summary: 'the main process of a VM’s unit: asks vmsecretd, then becomes the hypervisor',
      version,
      sections: [...readLauncherComment(), seeAlso('vmsecretd(8)', 'vmsecretctl(1)')],
    },
  ];
}

/** The comment at the head of the script: a line for each use, then what it is. */
function readLauncherComment(): Section[] {
  const script = readFileSync('systemd/vmsecretd-launch', 'utf8');
  const comment = script.split('\n').slice(1);
  const lines = comment
    .slice(
      0,
      comment.findIndex(line => !line.startsWith('#')),
    )
    .map(line => line.slice(2));
  const uses = lines.flatMap((line): [string, string][] => {
    const [, use, meaning] = /^(vmsecretd-launch .*?) {2,}(.*)$/.exec(line) ?? [];
    return use === undefined || meaning === undefined ? [] : [[use, meaning]];
  });
  const rest = lines.slice(lines.indexOf('') + 1).join('\n');
  return [
    { title: 'SYNOPSIS', content: uses },
    { title: 'DESCRIPTION', content: [rest] },
  ];
}
