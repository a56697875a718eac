// One event of a VM as a line for people: in a unit's journal, and for vmsecretctl events.
import type { VmEventRecord } from './events.js';

interface ToldCredential {
  name: string;
  source: string;
  path?: string;
  sizeBytes: number;
}

export function describeEvent(event: VmEventRecord): string {
  switch (event.type) {
    case 'state': {
      const problem = event.problem as { detail: string } | undefined;
      return `is ${event.state}${problem === undefined ? '' : `: ${problem.detail}`}`;
    }
    case 'credentials':
      return `credentials ready: ${describeCredentials(event.credentials as ToldCredential[])}`;
    case 'exit':
      return `hypervisor ended, ${event.signal === null ? `status ${event.status}` : event.signal}`;
    case 'stop-step':
      return `stop: ${event.step}`;
    case 'receipt':
      return `receipt of the guest: ${event.receipt}`;
    case 'outdated':
      return `outdated: ${(event.outdated as string[] | undefined)?.join(', ') || 'no more'}`;
    case 'definition':
      return `definition ${event.change}`;
    case 'ready':
      return 'is ready';
    case 'reset':
      return 'is reset: what its guest reported before counts no more';
  }
}

function describeCredentials(credentials: readonly ToldCredential[]): string {
  if (credentials.length === 0) return 'none';
  return credentials
    .map(
      ({ name, source, path, sizeBytes }) =>
        `${name} (${[source, path].filter(Boolean).join(' ')}, ${sizeBytes} bytes)`,
    )
    .join(', ');
}
