// doctor: finds what is set up wrongly, and says the fix.
import type { Command } from 'commander';
import { EXIT } from './client.js';
import { contextOf } from './context.js';
import type { Elsewhere } from './doctor/examine.js';
import type { Finding } from './doctor/finding.js';
import { type Cell, renderTable } from './render.js';

const WORDS: Record<Finding['level'], Cell> = {
  ok: ['ok', 'green'],
  warning: ['warning', 'yellow'],
  wrong: ['WRONG', 'red'],
};

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('find what is set up wrongly, and say the fix; status 1 when something is')
    .option('--config <file>', 'a configuration other than the daemon’s')
    .option('--definitions <dir>', 'definition files other than the daemon’s')
    .action(async (elsewhere: Elsewhere, command: Command) => {
      const { client, print, busy } = contextOf(command);
      // The schemas that it reads files by take longer to load than all other commands together.
      const { examine } = await import('./doctor/examine.js');
      const findings = await busy('looking at the setup', examine(client, elsewhere));
      const ok = findings.every(({ level }) => level !== 'wrong');
      print({ ok, findings }, (answer, { colours }) => renderTable(answer.findings.flatMap(rowsOf), colours));
      if (!ok) process.exitCode = EXIT.failed;
    });
}

function rowsOf({ check, level, detail, fix }: Finding): Cell[][] {
  return [[WORDS[level], check, detail], ...(fix === null ? [] : [['', '', `→ ${fix}`]])];
}
