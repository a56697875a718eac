// doctor: finds what is set up wrongly, and says the mend.
import type { Command } from 'commander';
import { defaultFolders } from '../config.js';
import { isSystemdHost } from '../system/systemd-host.js';
import { readVersion } from '../version.js';
import { EXIT } from './client.js';
import { contextOf } from './context.js';
import { checkDaemon } from './doctor/daemon.js';
import { checkDefinitions } from './doctor/definitions.js';
import type { Finding } from './doctor/finding.js';
import { checkHypervisor, checkKvm, checkSwap } from './doctor/host.js';
import { checkIdentities, readConfig } from './doctor/identities.js';
import { checkSockets } from './doctor/sockets.js';
import { checkUnits } from './doctor/units.js';
import { checkVms } from './doctor/vms.js';
import { renderTable } from './render.js';

const WORDS: Record<Finding['level'], string> = { ok: 'ok', warning: 'warning', wrong: 'WRONG' };

export function addDoctorCommand(program: Command): void {
  const folders = defaultFolders({}, true);
  program
    .command('doctor')
    .description('find what is set up wrongly, and say the mend; status 1 when something is')
    .option('--config <file>', 'configuration of the daemon', folders.config)
    .option('--definitions <dir>', 'definition files of the daemon', folders.definitionsDirectory)
    .action(async (options: { config: string; definitions: string }, command: Command) => {
      const { client, print } = contextOf(command);
      const { config, findings: configuration } = await readConfig(options.config);
      const daemon = await checkDaemon(client, readVersion());
      const findings = [
        daemon,
        ...(daemon.level === 'wrong' ? [] : await checkSockets(client.socketPath)),
        ...((await isSystemdHost()) ? [await checkUnits('systemctl')] : []),
        ...configuration,
        ...(await checkIdentities(config)),
        ...(await checkDefinitions(options.definitions)),
        await checkHypervisor(config, process.env.PATH ?? ''),
        await checkKvm('/dev/kvm'),
        await checkSwap('/proc/swaps'),
        ...(daemon.level === 'wrong' ? [] : await checkVms(client)),
      ];
      const ok = findings.every(({ level }) => level !== 'wrong');
      print({ ok, findings }, answer => renderTable(answer.findings.flatMap(rowsOf)));
      if (!ok) process.exitCode = EXIT.failed;
    });
}

function rowsOf({ check, level, detail, mend }: Finding): string[][] {
  return [[WORDS[level], check, detail], ...(mend === null ? [] : [['', '', `→ ${mend}`]])];
}
