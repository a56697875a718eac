// Every check of doctor, in the order in which its findings are told.

import type { Definition } from '../../definition/definition.js';
import { isSystemdHost } from '../../system/systemd-host.js';
import { readVersion } from '../../version.js';
import { isVmList } from '../answer-checks.js';
import { understand } from '../answers.js';
import type { Client } from '../client.js';
import { checkDaemon } from './daemon.js';
import { checkDefinitions } from './definitions.js';
import type { Finding } from './finding.js';
import { checkHypervisors, checkSwap } from './host.js';
import { checkIdentities, readConfig } from './identities.js';
import { readLastWords } from './journal.js';
import { readPaths } from './paths.js';
import { checkSockets } from './sockets.js';
import { checkUnits } from './units.js';
import { checkVms } from './vms.js';

/** What is looked at in place of the daemon's own. */
export interface Elsewhere {
  config?: string;
  definitions?: string;
}

/** Of VMMs that are children of the daemon; a unit has devices of its own. */
function usersOf(definitions: readonly Definition[], configured: string | undefined): string[] {
  const users = definitions
    .filter(({ supervisor, hypervisor }) => supervisor === 'daemon' && hypervisor === 'cloud-hypervisor')
    .flatMap(({ user }) => user ?? configured ?? []);
  return [...new Set(users)];
}

export async function examine(client: Client, elsewhere: Elsewhere): Promise<Finding[]> {
  const daemon = await checkDaemon(client, readVersion());
  const answers = daemon.level !== 'wrong';
  const isSystemd = await isSystemdHost();
  const paths = await readPaths(client, answers);
  const { config, findings: configuration } = await readConfig(elsewhere.config ?? paths.config);
  const { definitions, findings } = await checkDefinitions(
    elsewhere.definitions ?? paths.definitionsDirectory,
  );
  const { vms } = answers ? understand(await client.call('GET', '/v1/vms'), isVmList) : { vms: [] };
  const withOwnProgram = new Set(
    definitions.filter(({ program }) => program !== undefined).map(({ name }) => name),
  );
  return [
    daemon,
    ...(!answers && isSystemd ? await readLastWords() : []),
    ...(answers ? await checkSockets(client.socketPath, config.operatorGroup) : []),
    ...(isSystemd ? await checkUnits('systemctl') : []),
    ...configuration,
    ...(await checkIdentities(config.identities ?? paths.identities, config.passphraseFiles ?? [])),
    ...findings,
    ...(await checkHypervisors({
      config,
      searchPath: paths.programPath,
      kvmPath: '/dev/kvm',
      users: usersOf(definitions, config.user),
      wanted: [...definitions, ...vms]
        .filter(({ name }) => !withOwnProgram.has(name))
        .map(({ hypervisor }) => hypervisor),
    })),
    await checkSwap('/proc/swaps'),
    ...(await checkVms(client, vms)),
  ];
}
