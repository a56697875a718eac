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
    case 'on-demand':
      return describeOnDemand(event);
    case 'guest-part':
      return 'has a guest part that takes new secrets';
    case 'refreshed':
      return `refreshed: ${(event.credentials as string[]).join(', ')}`;
    case 'refresh_failed':
      return `refresh failed: ${(event.problem as { detail: string }).detail}`;
    case 'ready':
      return 'is ready';
    case 'reset':
      return 'is reset: what its guest reported before counts no more';
  }
}

function describeOnDemand({ outcome, credential, unit, sizeBytes, problem }: VmEventRecord): string {
  const who = unit === null ? '' : ` to ${unit}`;
  if (outcome === 'delivered') return `gave credential ${credential} on demand${who} (${sizeBytes} bytes)`;
  const why = problem === undefined ? '' : `: ${(problem as { detail: string }).detail}`;
  return `did not give credential ${credential ?? 'of an unknown name'} on demand${who}: ${outcome}${why}`;
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
