import { join } from 'node:path';
import type { SupervisorKind } from '../definition/definition.js';
import type { VmPaths } from '../hypervisor/hypervisor.js';

export function vmPaths(runtimeDirectory: string, name: string, supervisor: SupervisorKind): VmPaths {
  const directory = join(runtimeDirectory, 'vms', name);
  const channels = supervisor === 'unit' ? join(runtimeDirectory, 'reports', name) : directory;
  const logs = join(runtimeDirectory, 'logs');
  const ofUnits = join(runtimeDirectory, 'api');
  return {
    directory,
    apiSocket: supervisor === 'unit' ? join(ofUnits, `${name}.sock`) : join(directory, 'api.sock'),
    fifos: supervisor === 'unit' ? join(runtimeDirectory, 'fifos', name) : directory,
    consoleSocket: join(directory, 'console.sock'),
    consoleLog: join(logs, `${name}.console.log`),
    notifyPort: join(directory, 'notify.sock'),
    reportPort: join(channels, 'report.sock'),
    credentialsPort: join(channels, 'credentials.sock'),
    refreshPort: join(channels, 'refresh.sock'),
    // No VM's name has a colon.
    unitPorts: {
      receipt: join(ofUnits, `${name}:receipt.sock`),
      credentials: join(ofUnits, `${name}:credentials.sock`),
      refresh: join(ofUnits, `${name}:refresh.sock`),
    },
    launcherCommand: join(directory, 'command'),
    netsAdded: join(directory, 'nets-added'),
    vmmLog: join(logs, `${name}.vmm.log`),
  };
}
