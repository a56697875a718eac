import { join } from 'node:path';
import type { VmPaths } from '../hypervisor/hypervisor.js';

export function vmPaths(runtimeDirectory: string, name: string): VmPaths {
  const directory = join(runtimeDirectory, 'vms', name);
  const logs = join(runtimeDirectory, 'logs');
  return {
    directory,
    apiSocket: join(directory, 'api.sock'),
    consoleSocket: join(directory, 'console.sock'),
    consoleLog: join(logs, `${name}.console.log`),
    notifyPort: join(directory, 'notify.sock'),
    reportPort: join(directory, 'report.sock'),
    netsAdded: join(directory, 'nets-added'),
    vmmLog: join(logs, `${name}.vmm.log`),
    record: join(runtimeDirectory, 'records', `${name}.json`),
  };
}
