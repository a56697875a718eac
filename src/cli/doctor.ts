// doctor: finds what is set up wrongly, and says the mend.
import type { Command } from 'commander';
import { isSystemdHost } from '../system/systemd-host.js';
import { readVersion } from '../version.js';
import type { VmView } from '../vm/vm.js';
import { EXIT } from './client.js';
import { type Context, contextOf } from './context.js';
import { checkDaemon } from './doctor/daemon.js';
import { checkDefinitions } from './doctor/definitions.js';
import type { Finding } from './doctor/finding.js';
import { checkHypervisors, checkSwap } from './doctor/host.js';
import { checkIdentities, readConfig } from './doctor/identities.js';
import { readPaths } from './doctor/paths.js';
import { checkSockets } from './doctor/sockets.js';
import { checkUnits } from './doctor/units.js';
import { checkVms } from './doctor/vms.js';
import { renderTable } from './render.js';

const WORDS: Record<Finding['level'], string> = { ok: 'ok', warning: 'warning', wrong: 'WRONG' };

interface DoctorOptions {
  config?: string;
  definitions?: string;
}

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('find what is set up wrongly, and say the mend; status 1 when something is')
    .option('--config <file>', 'a configuration other than the daemon’s')
    .option('--definitions <dir>', 'definition files other than the daemon’s')
    .action(async (options: DoctorOptions, command: Command) => {
      const context = contextOf(command);
      const findings = await examine(context, options);
      const ok = findings.every(({ level }) => level !== 'wrong');
      context.print({ ok, findings }, answer => renderTable(answer.findings.flatMap(rowsOf)));
      if (!ok) process.exitCode = EXIT.failed;
    });
}

async function examine({ client }: Context, options: DoctorOptions): Promise<Finding[]> {
  const daemon = await checkDaemon(client, readVersion());
  const answers = daemon.level !== 'wrong';
  const paths = await readPaths(client, answers);
  const { config, findings: configuration } = await readConfig(options.config ?? paths.config);
  const { definitions, findings } = await checkDefinitions(options.definitions ?? paths.definitionsDirectory);
  const { vms } = answers ? ((await client.call('GET', '/v1/vms')) as { vms: VmView[] }) : { vms: [] };
  return [
    daemon,
    ...(answers ? await checkSockets(client.socketPath, config.operatorGroup) : []),
    ...((await isSystemdHost()) ? await checkUnits('systemctl') : []),
    ...configuration,
    ...(await checkIdentities(config.identities ?? paths.identities, config.passphraseFiles ?? [])),
    ...findings,
    ...(await checkHypervisors({
      config,
      searchPath: process.env.PATH ?? '',
      kvmPath: '/dev/kvm',
      wanted: [...definitions, ...vms].map(({ hypervisor }) => hypervisor),
    })),
    await checkSwap('/proc/swaps'),
    ...(await checkVms(client, vms)),
  ];
}

function rowsOf({ check, level, detail, mend }: Finding): string[][] {
  return [[WORDS[level], check, detail], ...(mend === null ? [] : [['', '', `→ ${mend}`]])];
}
