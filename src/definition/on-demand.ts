// Which credentials a guest gets at boot, which when it asks, and whether it has a channel to ask on.
import type { Definition } from './definition.js';

type Credentials = Definition['credentials'];

/** What travels in OEM strings. */
export function bootCredentials(credentials: Credentials): Credentials {
  return Object.fromEntries(Object.entries(credentials).filter(([, { onDemand }]) => onDemand !== true));
}

/** Whether the guest is given the channels of docs/on-demand.md. */
export function hasCredentialChannel({
  ready,
  onChange,
  credentials,
}: Pick<Definition, 'ready' | 'onChange' | 'credentials'>): boolean {
  if (Object.keys(credentials).length === 0) return false;
  return ready === 'receipt' || onChange === 'refresh' || hasOnDemand(credentials);
}

export function hasOnDemand(credentials: Credentials): boolean {
  return Object.values(credentials).some(({ onDemand }) => onDemand === true);
}
